// The CUDA driver, found when it is first needed: the library loads on machines that have none, to build for others.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <optional>
#include <string>

namespace briges
{

// The functions we call, typed by cuda.h. None is newer than CUDA 11.
struct Driver
{
    decltype(&::cuInit) init;
    decltype(&::cuGetErrorName) getErrorName;
    decltype(&::cuDeviceGet) deviceGet;
    decltype(&::cuDeviceGetAttribute) deviceGetAttribute;
    decltype(&::cuCtxGetCurrent) ctxGetCurrent;
    decltype(&::cuCtxGetDevice) ctxGetDevice;
    decltype(&::cuCtxPushCurrent) ctxPushCurrent;
    decltype(&::cuCtxPopCurrent) ctxPopCurrent;
    decltype(&::cuModuleLoadData) moduleLoadData;
    decltype(&::cuModuleUnload) moduleUnload;
    decltype(&::cuModuleGetFunction) moduleGetFunction;
    decltype(&::cuFuncSetAttribute) funcSetAttribute;
    decltype(&::cuLaunchKernel) launchKernel;
};

// Null where there is none, or none that works.
Driver const* findDriver();

// Throws Refusal with the reason where findDriver gives null.
Driver const& requireDriver();

// Of the current context's device, or of the first one: 87 for 8.7. Nothing where there is no device.
std::optional<int32_t> computeCapability(Driver const& driver);

// Such as "CUDA_ERROR_OUT_OF_MEMORY (2)".
std::string describe(Driver const& driver, CUresult result);

// Throws Refusal that names the function unless result is success.
void require(Driver const& driver, CUresult result, char const* function);

} // namespace briges
