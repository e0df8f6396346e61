// Finds the logger that an error belongs to, in any version of TensorRT.
//
// ILogger and ILoggerFinder have no version of their own in TensorRT 10 and in TensorRT-RTX up to 1.4: their first
// virtual function is log and findLogger. In TensorRT 11 and in TensorRT-RTX 1.5 they are IVersionedInterface, whose
// functions come first, so that a call by the older headers silently calls another function. What the headers at hand
// say is therefore not used here: both layouts are declared, and the library that loaded us says which it has.
#include "boundary.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdio>

namespace briges
{

// Not in the unnamed namespace: the compiler would know that nobody implements them, and call nobody.
struct PlainLogger
{
    virtual void log(int32_t severity, char const* text) noexcept = 0;
    virtual ~PlainLogger() = default;
};

struct PlainFinder
{
    virtual PlainLogger* findLogger() = 0;
    virtual ~PlainFinder() = default;
};

struct VersionedLogger : nvinfer1::IVersionedInterface
{
    virtual void log(int32_t severity, char const* text) noexcept = 0;
};

struct VersionedFinder : nvinfer1::IVersionedInterface
{
    virtual VersionedLogger* findLogger() = 0;
};

namespace
{

constexpr int32_t kError = 1; // ILogger::Severity::kERROR

std::atomic<void*> loggerFinder{nullptr};
std::atomic<bool> versioned{false};

// Of the library that holds the address, as its getInferLibVersion gives it: 101401 for TensorRT 10.14.1, 10701 for
// TensorRT-RTX 1.7.1. 0 if it has none.
int32_t versionOf(void const* address) noexcept
{
    Dl_info where{};
    if (::dladdr(address, &where) == 0)
    {
        return 0;
    }
    // Python loads TensorRT as a private library, whose symbols only its own handle gives. A program that TensorRT is
    // linked into has no handle, but global symbols.
    void* const library = ::dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    void* const symbol = ::dlsym(library == nullptr ? RTLD_DEFAULT : library, "getInferLibVersion");
    int32_t const found = symbol == nullptr ? 0 : reinterpret_cast<int32_t (*)()>(symbol)();
    if (library != nullptr)
    {
        ::dlclose(library); // whoever called us keeps it
    }
    return found;
}

bool isVersioned(int32_t version) noexcept
{
    constexpr int32_t kTensorRt10 = 100000;
    constexpr int32_t kTensorRt11 = 110000;
    constexpr int32_t kRtx15 = 10500;
    return version >= kTensorRt11 || (version >= kRtx15 && version < kTensorRt10);
}

template <typename Finder>
bool tell(void* finder, char const* line)
{
    auto* const logger = static_cast<Finder*>(finder)->findLogger();
    if (logger != nullptr)
    {
        logger->log(kError, line);
    }
    return logger != nullptr;
}

} // namespace

void setLogger(nvinfer1::ILoggerFinder* finder, void const* caller) noexcept
{
    int32_t const version = versionOf(caller);
    versioned = isVersioned(version);
    loggerFinder = version == 0 ? nullptr : finder;
}

void logError(char const* text) noexcept
{
    try
    {
        std::string const line = std::string("TemperatureScaledAttention: ") + text;
        void* const finder = loggerFinder;
        bool told = false;
        if (finder != nullptr)
        {
            told = versioned ? tell<VersionedFinder>(finder, line.c_str()) : tell<PlainFinder>(finder, line.c_str());
        }
        if (told)
        {
            return;
        }
    }
    catch (...) // out of memory: the text below needs none
    {
    }
    std::fprintf(stderr, "TemperatureScaledAttention: %s\n", text);
}

} // namespace briges
