// What both harnesses share: a stand-in for TensorRT's loader and loggers, and words of the command line as tensors.
#pragma once

#include <NvInferRuntime.h>

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

// Both layouts of TensorRT's loggers, whichever the headers here have: see engines/plugin/boundary.cpp.
struct PlainLogger
{
    virtual void log(int32_t severity, char const* text) noexcept
    {
        std::printf("log %d %s\n", severity, text);
    }
    virtual ~PlainLogger() = default;
};

struct PlainFinder
{
    PlainLogger logger;
    virtual PlainLogger* findLogger()
    {
        return &logger;
    }
    virtual ~PlainFinder() = default;
};

struct VersionedLogger : nvinfer1::IVersionedInterface
{
    nvinfer1::InterfaceInfo getInterfaceInfo() const noexcept override
    {
        return {"ILogger", 1, 0};
    }
    virtual void log(int32_t severity, char const* text) noexcept
    {
        std::printf("log %d %s\n", severity, text);
    }
};

struct VersionedFinder : nvinfer1::IVersionedInterface
{
    VersionedLogger logger;
    nvinfer1::InterfaceInfo getInterfaceInfo() const noexcept override
    {
        return {"ILoggerFinder", 1, 0};
    }
    virtual VersionedLogger* findLogger()
    {
        return &logger;
    }
};

inline int32_t pretendedVersion()
{
    char const* const version = std::getenv("PRETENDED_VERSION");
    return version == nullptr ? 101401 : std::atoi(version);
}

extern "C" __attribute__((visibility("default"), used)) inline int32_t getInferLibVersion()
{
    return pretendedVersion();
}

inline std::vector<std::string> split(std::string const& text, char at)
{
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, at);)
    {
        parts.push_back(part);
    }
    return parts;
}

// "1x7x288": a side may be -1.
inline nvinfer1::Dims toDims(std::string const& text)
{
    nvinfer1::Dims dims{};
    for (std::string const& side : split(text, 'x'))
    {
        dims.d[dims.nbDims++] = std::atoll(side.c_str());
    }
    return dims;
}

inline nvinfer1::DataType toType(std::string const& name)
{
    return name == "bf16" ? nvinfer1::DataType::kBF16
        : name == "fp32"  ? nvinfer1::DataType::kFLOAT
                          : nvinfer1::DataType::kHALF;
}

// "1x7x96,1x7x96,1x7x96,1" and "fp16": the fourth, temperature, is fp32.
inline std::vector<nvinfer1::PluginTensorDesc> toInputs(std::string const& shapes, std::string const& type)
{
    std::vector<nvinfer1::PluginTensorDesc> inputs;
    for (std::string const& shape : split(shapes, ','))
    {
        auto const of = inputs.size() == 3 ? nvinfer1::DataType::kFLOAT : toType(type);
        inputs.push_back({toDims(shape), of, nvinfer1::TensorFormat::kLINEAR, 1.0F});
    }
    return inputs;
}

// "num_heads=2,head_dim=48": as INT32 fields. "f:name=1" is a field of floats, "2:name=1" one of two integers.
struct Fields
{
    std::vector<std::string> names;
    std::vector<std::vector<int32_t>> values;
    std::vector<nvinfer1::PluginField> fields;
    nvinfer1::PluginFieldCollection collection{};

    explicit Fields(std::string const& text)
    {
        std::vector<std::string> const words = split(text, ',');
        names.reserve(words.size());
        for (std::string word : words)
        {
            bool const floats = word.rfind("f:", 0) == 0;
            bool const two = word.rfind("2:", 0) == 0;
            word = floats || two ? word.substr(2) : word;
            size_t const equals = word.find('=');
            names.push_back(word.substr(0, equals));
            int32_t const value = std::atoi(word.c_str() + equals + 1);
            values.push_back({value, value});
            fields.emplace_back(names.back().c_str(), nullptr,
                floats ? nvinfer1::PluginFieldType::kFLOAT32 : nvinfer1::PluginFieldType::kINT32, two ? 2 : 1);
        }
        for (size_t i = 0; i < fields.size(); ++i)
        {
            fields[i].data = values[i].data();
        }
        collection = {static_cast<int32_t>(fields.size()), fields.data()};
    }
};

struct Library
{
    void* handle;
    nvinfer1::IPluginCreatorV3One* creator{nullptr};
    PlainFinder plain;
    VersionedFinder versioned;

    explicit Library(char const* path)
        : handle(::dlopen(path, RTLD_NOW | RTLD_LOCAL))
    {
        if (handle == nullptr)
        {
            std::printf("no library: %s\n", ::dlerror());
            std::exit(2);
        }
        // Which versions have which loggers: as measured from the bindings on PyPI.
        bool const older = pretendedVersion() / 10000 == 10 || pretendedVersion() < 10500;
        auto const set = reinterpret_cast<void (*)(void*)>(::dlsym(handle, "setLoggerFinder"));
        set(older ? static_cast<void*>(&plain) : static_cast<void*>(&versioned));
        auto const get = reinterpret_cast<nvinfer1::IPluginCreatorInterface* const* (*)(int32_t&)>(
            ::dlsym(handle, "getCreators"));
        int32_t count = 0;
        nvinfer1::IPluginCreatorInterface* const* const creators = get(count);
        if (count == 1 && std::string(creators[0]->getInterfaceInfo().kind) == "PLUGIN CREATOR_V3ONE")
        {
            creator = static_cast<nvinfer1::IPluginCreatorV3One*>(creators[0]);
        }
    }
};

template <typename Capability>
Capability* capability(nvinfer1::IPluginV3* plugin, nvinfer1::PluginCapabilityType type)
{
    return static_cast<Capability*>(plugin->getCapabilityInterface(type));
}
