// Selects a kernel: of the device's own compute capability, or from 8.0 on that of 8.0.
#include "kernels.h"

#include "boundary.h"

#include <algorithm>
#include <iterator>
#include <set>

// In kernels.S.
extern "C" __attribute__((visibility("hidden"))) char const brigesAttentionKernels[];

namespace briges
{
namespace
{

constexpr Kernel kTable[] = {
#include "kernels.inc"
};

// Its code runs on every later device. The rows of 9.0 and later use instructions of one architecture alone.
constexpr int32_t kPortable = 80;

Kernel const* find(int32_t capability, KernelRequest const& request) noexcept
{
    auto const serves = [&](Kernel const& row) { return row.capability == capability && row.serves(request); };
    auto const* const found = std::find_if(std::begin(kTable), std::end(kTable), serves);
    return found == std::end(kTable) ? nullptr : found;
}

std::string withDot(int32_t capability)
{
    return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

// Such as "7.5, 8.0 or later": a library may have been built for some GPUs alone.
std::string servedCapabilities(KernelRequest const& request)
{
    bool const portable = find(kPortable, request) != nullptr;
    std::set<int32_t> served;
    for (Kernel const& row : kTable)
    {
        if (row.serves(request) && (!portable || row.capability <= kPortable))
        {
            served.insert(row.capability);
        }
    }
    std::string list;
    for (int32_t const capability : served)
    {
        list += (list.empty() ? "" : ", ") + withDot(capability) + (capability == kPortable ? " or later" : "");
    }
    return list.empty() ? "another head_dim, type or grid" : list;
}

} // namespace

char const* Kernel::ptx() const noexcept
{
    return brigesAttentionKernels + offset;
}

int32_t columnsFor(int32_t gridHeight, int32_t gridWidth) noexcept
{
    int32_t const side = std::max(gridHeight, gridWidth);
    return side == 0 ? 0 : side <= 16 ? 16 : kLongestSide;
}

Kernel const* selectKernel(int32_t capability, KernelRequest const& request) noexcept
{
    Kernel const* const exact = find(capability, request);
    return exact == nullptr && capability > kPortable ? find(kPortable, request) : exact;
}

Kernel const& requireKernel(int32_t capability, KernelRequest const& request)
{
    Kernel const* const kernel = selectKernel(capability, request);
    if (kernel == nullptr)
    {
        throw Refusal("no kernel for compute capability " + withDot(capability) + " with head_dim "
            + std::to_string(request.headDim) + ", " + (request.type == kFp16 ? "fp16" : "bf16") + " and "
            + (request.columns == 0 ? std::string("no grid") : "a grid up to " + std::to_string(request.columns))
            + "; expected " + servedCapabilities(request) + ". Build with --attention native");
    }
    return *kernel;
}

bool hasKernel(int32_t headDim, int32_t columns) noexcept
{
    return std::any_of(std::begin(kTable), std::end(kTable),
        [&](Kernel const& row) { return row.headDim == headDim && row.columns == columns; });
}

std::string servedHeadDims(int32_t columns)
{
    std::set<int32_t> dims;
    for (Kernel const& row : kTable)
    {
        if (row.columns == columns)
        {
            dims.insert(row.headDim);
        }
    }
    std::string list;
    for (auto dim = dims.begin(); dim != dims.end(); ++dim)
    {
        bool const last = std::next(dim) == dims.end();
        list += (dim == dims.begin() ? "" : last ? " or " : ", ") + std::to_string(*dim);
    }
    return list.empty() ? "none" : list;
}

} // namespace briges
