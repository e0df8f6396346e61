// Resolves the CUDA driver's functions from libcuda.so.1 and puts its errors into words.
#include "driver.h"

#include "boundary.h"

#include <dlfcn.h>

namespace briges
{
namespace
{

struct Lookup
{
    Driver driver{};
    std::string problem;
};

template <typename Function>
void resolve(void* library, char const* name, Function& function, std::string& problem)
{
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr && problem.empty())
    {
        problem = std::string("libcuda.so.1 has no ") + name
            + "; expected a driver of CUDA 12.0 or later. Update the driver";
    }
}

// The names with _v2 are what cuda.h makes of the names without: the others are ancient, and still exported.
void resolveAll(void* library, Driver& driver, std::string& problem)
{
    resolve(library, "cuInit", driver.init, problem);
    resolve(library, "cuGetErrorName", driver.getErrorName, problem);
    resolve(library, "cuDeviceGet", driver.deviceGet, problem);
    resolve(library, "cuDeviceGetAttribute", driver.deviceGetAttribute, problem);
    resolve(library, "cuCtxGetCurrent", driver.ctxGetCurrent, problem);
    resolve(library, "cuCtxGetDevice", driver.ctxGetDevice, problem);
    resolve(library, "cuCtxPushCurrent_v2", driver.ctxPushCurrent, problem);
    resolve(library, "cuCtxPopCurrent_v2", driver.ctxPopCurrent, problem);
    resolve(library, "cuModuleLoadData", driver.moduleLoadData, problem);
    resolve(library, "cuModuleUnload", driver.moduleUnload, problem);
    resolve(library, "cuModuleGetFunction", driver.moduleGetFunction, problem);
    resolve(library, "cuFuncSetAttribute", driver.funcSetAttribute, problem);
    resolve(library, "cuLaunchKernel", driver.launchKernel, problem);
}

Lookup lookUp()
{
    Lookup found;
    void* const library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
    {
        char const* const reason = ::dlerror();
        found.problem = std::string("no CUDA driver: ") + (reason == nullptr ? "libcuda.so.1" : reason)
            + "; expected one. Install the NVIDIA driver";
        return found;
    }
    resolveAll(library, found.driver, found.problem);
    if (!found.problem.empty())
    {
        return found;
    }
    CUresult const started = found.driver.init(0);
    if (started != CUDA_SUCCESS)
    {
        found.problem = "the CUDA driver does not start: " + describe(found.driver, started)
            + "; expected one that nvidia-smi can talk to. Repair the driver";
    }
    return found;
}

// Never destroyed: plugins may outlive the destructors that run at exit.
Lookup const& lookup()
{
    static Lookup const* const found = new Lookup(lookUp());
    return *found;
}

} // namespace

Driver const* findDriver()
{
    return lookup().problem.empty() ? &lookup().driver : nullptr;
}

Driver const& requireDriver()
{
    refuseIf(lookup().problem);
    return lookup().driver;
}

std::optional<int32_t> computeCapability(Driver const& driver)
{
    CUcontext context = nullptr;
    CUdevice device = 0;
    bool const attached = driver.ctxGetCurrent(&context) == CUDA_SUCCESS && context != nullptr;
    CUresult const found = attached ? driver.ctxGetDevice(&device) : driver.deviceGet(&device, 0);
    int32_t major = 0;
    int32_t minor = 0;
    if (found != CUDA_SUCCESS
        || driver.deviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) != CUDA_SUCCESS
        || driver.deviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device) != CUDA_SUCCESS)
    {
        return std::nullopt;
    }
    return major * 10 + minor;
}

std::string describe(Driver const& driver, CUresult result)
{
    char const* name = nullptr;
    driver.getErrorName(result, &name);
    return std::string(name == nullptr ? "an unknown error" : name) + " (" + std::to_string(result) + ")";
}

void require(Driver const& driver, CUresult result, char const* function)
{
    if (result != CUDA_SUCCESS)
    {
        throw Refusal(std::string(function) + " failed: " + describe(driver, result)
            + "; expected success. Look for an earlier error of another layer, and update the driver");
    }
}

} // namespace briges
