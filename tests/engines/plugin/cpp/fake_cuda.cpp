// A CUDA driver without a GPU: writes down, one line of JSON a call, what the plugin asks of it.
// FAKE_CAPABILITY (such as 87), FAKE_DEVICES and FAKE_FAILURE (the function that fails) set how it behaves.
// With INCOMPLETE it is one that lacks a function, as an old one would.
#include <cuda.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#define FAKE extern "C" __attribute__((visibility("default")))

namespace
{

int32_t number(char const* variable, int32_t otherwise)
{
    char const* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::atoi(text);
}

CUresult result(char const* function)
{
    char const* const failing = std::getenv("FAKE_FAILURE");
    return failing != nullptr && std::strcmp(failing, function) == 0 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

// Pointers, then ten integers, then two pointers: the kernel's declaration.
constexpr int32_t kPointers = 7;
constexpr int32_t kIntegers = 10;
constexpr int32_t kParameters = 19;

int modules = 0;

} // namespace

// What is current: the harness sets it.
extern "C"
{
__attribute__((visibility("default"))) uintptr_t fakeContext = 0x1000;
}

FAKE CUresult cuInit(unsigned int)
{
    std::printf("{\"call\": \"cuInit\"}\n");
    return number("FAKE_DEVICES", 1) == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

FAKE CUresult cuGetErrorName(CUresult error, char const** name)
{
    *name = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_NO_DEVICE";
    return CUDA_SUCCESS;
}

FAKE CUresult cuDeviceGet(CUdevice* device, int)
{
    std::printf("{\"call\": \"cuDeviceGet\"}\n");
    *device = 0;
    return CUDA_SUCCESS;
}

FAKE CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice)
{
    std::printf("{\"call\": \"cuDeviceGetAttribute\"}\n");
    int32_t const capability = number("FAKE_CAPABILITY", 80);
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? capability / 10 : capability % 10;
    return CUDA_SUCCESS;
}

FAKE CUresult cuCtxGetCurrent(CUcontext* context)
{
    std::printf("{\"call\": \"cuCtxGetCurrent\"}\n");
    *context = reinterpret_cast<CUcontext>(fakeContext);
    return CUDA_SUCCESS;
}

FAKE CUresult cuCtxGetDevice(CUdevice* device)
{
    std::printf("{\"call\": \"cuCtxGetDevice\"}\n");
    *device = 0;
    return CUDA_SUCCESS;
}

FAKE CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    std::printf("{\"call\": \"cuCtxPushCurrent\", \"context\": %zu}\n", reinterpret_cast<size_t>(context));
    return CUDA_SUCCESS;
}

FAKE CUresult cuCtxPopCurrent_v2(CUcontext* context)
{
    *context = nullptr;
    std::printf("{\"call\": \"cuCtxPopCurrent\"}\n");
    return CUDA_SUCCESS;
}

FAKE CUresult cuModuleLoadData(CUmodule* module, void const* image)
{
    CUresult const code = result("cuModuleLoadData");
    std::string const text = static_cast<char const*>(image);
    size_t const target = text.find(".target ");
    *module = reinterpret_cast<CUmodule>(static_cast<uintptr_t>(++modules));
    std::printf("{\"call\": \"cuModuleLoadData\", \"module\": %d, \"target\": \"%s\", \"entry\": %d}\n", modules,
        text.substr(target + 8, text.find_first_of("\r\n", target) - target - 8).c_str(),
        static_cast<int>(text.find(".entry attention_kernel(") != std::string::npos));
    return code;
}

FAKE CUresult cuModuleUnload(CUmodule module)
{
    std::printf("{\"call\": \"cuModuleUnload\", \"module\": %zu}\n", reinterpret_cast<size_t>(module));
    return CUDA_SUCCESS;
}

FAKE CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, char const* name)
{
    *function = reinterpret_cast<CUfunction>(module);
    std::printf("{\"call\": \"cuModuleGetFunction\", \"name\": \"%s\"}\n", name);
    return result("cuModuleGetFunction");
}

#ifndef INCOMPLETE
FAKE CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute attribute, int value)
{
    std::printf("{\"call\": \"cuFuncSetAttribute\", \"attribute\": %d, \"value\": %d}\n", attribute, value);
    return result("cuFuncSetAttribute");
}
#endif

FAKE CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned threads,
    unsigned threadsY, unsigned threadsZ, unsigned shared, CUstream stream, void** parameters, void** extra)
{
    std::printf("{\"call\": \"cuLaunchKernel\", \"module\": %zu, \"blocks\": [%u, %u, %u], \"threads\": [%u, %u, %u], "
                "\"shared\": %u, \"stream\": %zu, \"extra\": %d, \"parameters\": [",
        reinterpret_cast<size_t>(function), x, y, z, threads, threadsY, threadsZ, shared,
        reinterpret_cast<size_t>(stream), static_cast<int>(extra != nullptr));
    for (int32_t i = 0; i < kParameters; ++i)
    {
        bool const integer = i >= kPointers && i < kPointers + kIntegers;
        int64_t value = 0;
        std::memcpy(&value, parameters[i], integer ? sizeof(int32_t) : sizeof(int64_t));
        std::printf("%s%lld", i == 0 ? "" : ", ", static_cast<long long>(value));
    }
    std::printf("]}\n");
    return result("cuLaunchKernel");
}
