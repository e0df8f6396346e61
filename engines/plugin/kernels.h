// The table of the embedded kernels, and which of them serves a node on a device.
#pragma once

#include <cstdint>
#include <string>

namespace briges
{

// Numbers, as kernels.inc writes them.
using HalfType = int32_t;
inline constexpr HalfType kFp16 = 0;
inline constexpr HalfType kBf16 = 1;

// What a node asks of a kernel.
struct KernelRequest
{
    int32_t headDim;
    HalfType type;
    int32_t columns;
};

// One row of kernels.inc.
struct Kernel
{
    int32_t capability; // 87 for 8.7
    int32_t headDim;
    HalfType type;
    int32_t columns; // 0 without relative positions, otherwise the longest side of a grid it takes
    int32_t queriesPerProgram;
    int32_t threads;
    int32_t sharedBytes;
    int64_t offset; // of its text among the embedded ones

    char const* ptx() const noexcept;
    bool serves(KernelRequest const& request) const noexcept
    {
        return headDim == request.headDim && type == request.type && columns == request.columns;
    }
};

inline constexpr int32_t kLongestSide = 64;

// The columns of the kernels for a grid; 0 x 0: no relative positions. Sides above kLongestSide have none.
int32_t columnsFor(int32_t gridHeight, int32_t gridWidth) noexcept;

// Null where no kernel serves that device.
Kernel const* selectKernel(int32_t capability, KernelRequest const& request) noexcept;

// The same, with the reason. Throws Refusal.
Kernel const& requireKernel(int32_t capability, KernelRequest const& request);

// Whether there is one for some device, and a list of the head sizes that have one, such as "24, 48 or 64".
bool hasKernel(int32_t headDim, int32_t columns) noexcept;
std::string servedHeadDims(int32_t columns);

} // namespace briges
