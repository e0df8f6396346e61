// Loads and unloads kernels, and remembers which are loaded where.
#include "modules.h"

#include "boundary.h"

#include <cstring>
#include <map>
#include <mutex>
#include <utility>

namespace briges
{
namespace
{

constexpr char const* kEntry = "attention_kernel";
// What every device gives a program without being asked.
constexpr int32_t kDefaultSharedBytes = 48 * 1024;

struct Cache
{
    std::mutex mutex;
    std::map<std::pair<CUcontext, Kernel const*>, std::weak_ptr<LoadedKernel const>> kernels;
};

// Never destroyed: plugins may outlive the destructors that run at exit.
Cache& cache()
{
    static Cache* const only = new Cache;
    return *only;
}

// Such as ".version 8.0", from the first lines of the text.
std::string ptxVersion(Kernel const& kernel)
{
    char const* const start = std::strstr(kernel.ptx(), ".version ");
    return start == nullptr ? "unknown" : std::string(start + 9, std::strcspn(start + 9, "\r\n "));
}

} // namespace

LoadedKernel::LoadedKernel(Driver const& driver, CUcontext context, Kernel const& kernel)
    : mDriver(driver)
    , mContext(context)
    , mKernel(kernel)
{
    CUresult const loaded = driver.moduleLoadData(&mModule, kernel.ptx());
    if (loaded != CUDA_SUCCESS)
    {
        throw Refusal("the driver does not load its kernel, PTX " + ptxVersion(kernel) + " for head_dim "
            + std::to_string(kernel.headDim) + ": " + describe(driver, loaded)
            + "; expected a driver that reads this PTX, and free memory. Update the driver, or build with --attention "
              "native");
    }
    try
    {
        setUp();
    }
    catch (...)
    {
        unload();
        throw;
    }
}

LoadedKernel::~LoadedKernel()
{
    unload();
}

bool LoadedKernel::launch(std::array<uint32_t, 3> const& blocks, void** parameters, CUstream stream) const noexcept
{
    CUresult const result = mDriver.launchKernel(mFunction, blocks[0], blocks[1], blocks[2],
        static_cast<uint32_t>(mKernel.threads), 1, 1, static_cast<uint32_t>(mKernel.sharedBytes), stream, parameters,
        nullptr);
    if (result == CUDA_SUCCESS) // the words below would allocate
    {
        return true;
    }
    return guarded(false, [&] {
        require(mDriver, result, "cuLaunchKernel");
        return true;
    });
}

void LoadedKernel::setUp()
{
    require(mDriver, mDriver.moduleGetFunction(&mFunction, mModule, kEntry), "cuModuleGetFunction");
    if (mKernel.sharedBytes > kDefaultSharedBytes)
    {
        require(mDriver,
            mDriver.funcSetAttribute(
                mFunction, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, mKernel.sharedBytes),
            "cuFuncSetAttribute");
    }
}

// The last user may be destroyed on a thread of another context, or when the context is gone, and its modules with it.
void LoadedKernel::unload() noexcept
{
    if (mDriver.ctxPushCurrent(mContext) == CUDA_SUCCESS)
    {
        mDriver.moduleUnload(mModule);
        CUcontext popped = nullptr;
        mDriver.ctxPopCurrent(&popped);
    }
}

std::shared_ptr<LoadedKernel const> loadKernel(Driver const& driver, CUcontext context, Kernel const& kernel)
{
    Cache& known = cache();
    std::lock_guard<std::mutex> const lock(known.mutex);
    auto& entry = known.kernels[{context, &kernel}];
    std::shared_ptr<LoadedKernel const> loaded = entry.lock();
    if (loaded == nullptr)
    {
        loaded = std::make_shared<LoadedKernel const>(driver, context, kernel);
        entry = loaded;
    }
    return loaded;
}

} // namespace briges
