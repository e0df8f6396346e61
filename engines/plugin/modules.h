// Kernels loaded into a CUDA context, once for all nodes that use them.
#pragma once

#include "driver.h"
#include "kernels.h"

#include <array>
#include <memory>

namespace briges
{

// A kernel in a context. It stays loaded as long as somebody holds it.
class LoadedKernel
{
public:
    LoadedKernel(Driver const& driver, CUcontext context, Kernel const& kernel);
    ~LoadedKernel();
    LoadedKernel(LoadedKernel const&) = delete;
    LoadedKernel& operator=(LoadedKernel const&) = delete;

    // False where the driver refuses, which it then has told the log.
    bool launch(std::array<uint32_t, 3> const& blocks, void** parameters, CUstream stream) const noexcept;

    Kernel const& kernel() const noexcept
    {
        return mKernel;
    }
    // A context has one device: the same request gives the same kernel there.
    bool serves(CUcontext context, KernelRequest const& request) const noexcept
    {
        return mContext == context && mKernel.serves(request);
    }

private:
    void setUp();
    void unload() noexcept;

    Driver const& mDriver;
    CUcontext mContext;
    Kernel const& mKernel;
    CUmodule mModule{nullptr};
    CUfunction mFunction{nullptr};
};

// The kernel in the current context: that of another node, or loaded now, which compiles its PTX and takes a moment.
// Throws Refusal.
std::shared_ptr<LoadedKernel const> loadKernel(Driver const& driver, CUcontext context, Kernel const& kernel);

} // namespace briges
