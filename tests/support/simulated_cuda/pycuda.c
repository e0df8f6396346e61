/* What pycuda calls of the driver and NVIDIA's bindings do not. */
#include "simulated.h"

API cuDeviceGetAttribute(int* value, int attribute, int device);
API cuMemcpyAsync(uint64_t to, uint64_t from, size_t size, void* stream);

API cuDeviceComputeCapability(int* major, int* minor, int device)
{
    cuDeviceGetAttribute(minor, 76, device);
    return cuDeviceGetAttribute(major, 75, device);
}

API cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void* stream)
{
    return cuMemcpyAsync(to, from, size, stream);
}

API cuFuncSetBlockShape(void* function, int x, int y, int z)
{
    ENTER("cuFuncSetBlockShape");
    return function && x > 0 && y > 0 && z > 0 && x * y * z <= 1024 ? OK : INVALID_VALUE;
}
