/* Devices, contexts, memory and modules of the simulated driver. Device memory is host memory that only the driver's own
 * copies and kernels may touch by rights; what lies outside every live allocation is an illegal address. */
#define _GNU_SOURCE
#include "simulated.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long live[KINDS];
int sticky = 0;

static int initialised = 0, fail_code = 0, fail_after = 0;
static char fail_function[64] = "";
static __thread void* stack[16];
static __thread int depth = 0;

typedef struct Block
{
    uint64_t address;
    size_t size;
    int kind;
    struct Block* next;
} Block;
static Block* blocks = NULL;
static size_t used = 0;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long setting(char const* name, long otherwise)
{
    char const* const text = getenv(name);
    return text ? atol(text) : otherwise;
}

API sim_fail(char const* function, int code, int after)
{
    snprintf(fail_function, sizeof fail_function, "%s", function);
    fail_code = code;
    fail_after = after;
    return OK;
}

__attribute__((visibility("default"))) long sim_live(int kind) { return live[kind]; }

static int ordered(char const* function)
{
    if (!fail_code || strcmp(function, fail_function) || fail_after-- > 0)
        return OK;
    int const code = fail_code;
    fail_code = 0;
    if (code >= 700 && code < 720)
        sticky = code;
    return code;
}

int enter(char const* function)
{
    if (!initialised)
        return NOT_INITIALISED;
    int const code = ordered(function);
    if (code)
        return code;
    if (sticky)
        return sticky;
    return depth == 0 ? INVALID_CONTEXT : OK;
}

API cuInit(unsigned flags)
{
    int const code = ordered("cuInit");
    if (code || flags)
        return code ? code : INVALID_VALUE;
    if (setting("SIM_DEVICES", 1) == 0)
        return NO_DEVICE;
    initialised = 1;
    return OK;
}

API cuDriverGetVersion(int* version)
{
    *version = (int)setting("SIM_VERSION", 13000);
    return OK;
}

API cuDeviceGetCount(int* count)
{
    *count = (int)setting("SIM_DEVICES", 1);
    return initialised ? OK : NOT_INITIALISED;
}

API cuDeviceGet(int* device, int ordinal)
{
    if (!initialised)
        return NOT_INITIALISED;
    if (ordinal < 0 || ordinal >= setting("SIM_DEVICES", 1))
        return INVALID_DEVICE;
    *device = ordinal;
    return OK;
}

API cuDeviceGetName(char* name, int length, int device)
{
    snprintf(name, (size_t)length, "Simulated GPU %d", device);
    return OK;
}

API cuDeviceTotalMem_v2(size_t* bytes, int device)
{
    (void)device;
    *bytes = (size_t)setting("SIM_MEMORY", 1L << 30);
    return OK;
}

API cuDeviceGetAttribute(int* value, int attribute, int device)
{
    (void)device;
    long const capability = setting("SIM_CAPABILITY", 89);
    switch (attribute)
    {
    case 18: *value = (int)setting("SIM_INTEGRATED", 0); break; /* CU_DEVICE_ATTRIBUTE_INTEGRATED */
    case 19: *value = 1; break;                                 /* CAN_MAP_HOST_MEMORY */
    case 75: *value = (int)(capability / 10); break;
    case 76: *value = (int)(capability % 10); break;
    default: *value = 1024;
    }
    return OK;
}

API cuDevicePrimaryCtxRetain(void** context, int device)
{
    int const code = ordered("cuDevicePrimaryCtxRetain");
    if (code)
        return code;
    *context = (void*)(uintptr_t)(0x1000 + device);
    ++live[CONTEXTS];
    return OK;
}

API cuDevicePrimaryCtxRelease_v2(int device)
{
    (void)device;
    --live[CONTEXTS];
    return OK;
}

API cuCtxPushCurrent_v2(void* context)
{
    if (depth == 16)
        return INVALID_VALUE;
    stack[depth++] = context;
    return OK;
}

API cuCtxPopCurrent_v2(void** context)
{
    if (depth == 0)
        return INVALID_CONTEXT;
    void* const popped = stack[--depth];
    if (context)
        *context = popped;
    return OK;
}

API cuCtxGetCurrent(void** context)
{
    *context = depth ? stack[depth - 1] : NULL;
    return OK;
}

API cuCtxSynchronize(void)
{
    ENTER("cuCtxSynchronize");
    if (capturing())
        return CAPTURE_UNSUPPORTED;
    drain_everything();
    return sticky;
}

int is_live(uint64_t address, size_t size)
{
    pthread_mutex_lock(&lock);
    Block* block = blocks;
    while (block && !(address >= block->address && address + size <= block->address + block->size))
        block = block->next;
    pthread_mutex_unlock(&lock);
    return block != NULL;
}

/* How many bytes there are from an address to the end of its block; 0 if it is in none. */
__attribute__((visibility("default"))) size_t sim_room(uint64_t address)
{
    pthread_mutex_lock(&lock);
    Block* block = blocks;
    while (block && !(address >= block->address && address < block->address + block->size))
        block = block->next;
    size_t const room = block ? (size_t)(block->address + block->size - address) : 0;
    pthread_mutex_unlock(&lock);
    return room;
}

static int allocate(uint64_t* address, size_t size, int kind)
{
    if (capturing())
        return CAPTURE_UNSUPPORTED;
    if (size == 0)
        return INVALID_VALUE;
    if (kind == DEVICE_MEMORY && used + size > (size_t)setting("SIM_MEMORY", 1L << 30))
        return OUT_OF_MEMORY;
    Block* const block = malloc(sizeof *block);
    void* memory = NULL;
    if (!block || posix_memalign(&memory, 512, size))
        return OUT_OF_MEMORY;
    memset(memory, 0xA5, size); /* new memory holds no zeros to rely on */
    pthread_mutex_lock(&lock);
    *block = (Block){(uint64_t)(uintptr_t)memory, size, kind, blocks};
    blocks = block;
    if (kind == DEVICE_MEMORY)
        used += size;
    ++live[kind];
    pthread_mutex_unlock(&lock);
    *address = block->address;
    return OK;
}

static int release(uint64_t address, int kind)
{
    drain_everything();
    pthread_mutex_lock(&lock);
    Block** place = &blocks;
    while (*place && ((*place)->address != address || (*place)->kind != kind))
        place = &(*place)->next;
    Block* const block = *place;
    if (block)
    {
        *place = block->next;
        --live[kind];
        if (kind == DEVICE_MEMORY)
            used -= block->size;
        memset((void*)(uintptr_t)address, 0x5A, block->size);
        free((void*)(uintptr_t)address);
        free(block);
    }
    pthread_mutex_unlock(&lock);
    return block ? OK : INVALID_VALUE;
}

API cuMemAlloc_v2(uint64_t* address, size_t size)
{
    ENTER("cuMemAlloc");
    return allocate(address, size, DEVICE_MEMORY);
}

API cuMemFree_v2(uint64_t address)
{
    ENTER("cuMemFree");
    return release(address, DEVICE_MEMORY);
}

API cuMemHostAlloc(void** address, size_t size, unsigned flags)
{
    ENTER("cuMemHostAlloc");
    (void)flags;
    uint64_t made = 0;
    int const code = allocate(&made, size, HOST_MEMORY);
    *address = (void*)(uintptr_t)made;
    return code;
}

API cuMemHostGetDevicePointer_v2(uint64_t* device, void* host, unsigned flags)
{
    ENTER("cuMemHostGetDevicePointer");
    *device = (uint64_t)(uintptr_t)host;
    return flags ? INVALID_VALUE : OK;
}

API cuMemFreeHost(void* address)
{
    ENTER("cuMemFreeHost");
    return release((uint64_t)(uintptr_t)address, HOST_MEMORY);
}

API cuMemGetInfo_v2(size_t* available, size_t* total)
{
    ENTER("cuMemGetInfo");
    *total = (size_t)setting("SIM_MEMORY", 1L << 30);
    *available = *total - used;
    return OK;
}

static int parse(char const* ptx, char const* name, Function* function)
{
    char entry[160];
    snprintf(entry, sizeof entry, ".entry %s(", name);
    char const* at = strstr(ptx, entry);
    if (!at)
        return NOT_FOUND;
    snprintf(function->name, sizeof function->name, "%s", name);
    function->ptx = strdup(ptx);
    char const* const end = strchr(at + strlen(entry), ')');
    function->count = 0;
    for (at = strstr(at, ".param ."); at && at < end && function->count < MAX_PARAMETERS; at = strstr(at, ".param ."))
    {
        at += strlen(".param .") + 1; /* behind the letter of u64, b32 or f32 */
        function->sizes[function->count++] = atoi(at) / 8;
    }
    return OK;
}

API cuModuleLoadDataEx(void** module, void const* image, unsigned count, int* options, void** values)
{
    ENTER("cuModuleLoadData");
    if (!strstr(image, ".version"))
    {
        for (unsigned i = 0; i < count; ++i)
            if (options[i] == 5) /* CU_JIT_ERROR_LOG_BUFFER */
                strcpy(values[i], "ptxas fatal: no version in this text");
        return INVALID_PTX;
    }
    *module = strdup(image);
    ++live[MODULES];
    return OK;
}

API cuModuleUnload(void* module)
{
    ENTER("cuModuleUnload");
    free(module);
    --live[MODULES];
    return OK;
}

API cuModuleGetFunction(void** function, void* module, char const* name)
{
    ENTER("cuModuleGetFunction");
    Function* const made = calloc(1, sizeof *made); /* as long as the process: handles stay valid */
    *function = made;
    return parse(module, name, made);
}

API cuFuncSetAttribute(void* function, int attribute, int value)
{
    ENTER("cuFuncSetAttribute");
    (void)function;
    (void)attribute;
    return value > 227 * 1024 ? INVALID_VALUE : OK;
}

static struct
{
    int code;
    char const *name, *text;
} const errors[] = {{INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}, {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no device"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}};

static int described(int code, char const** text, int name)
{
    *text = name ? "CUDA_ERROR_SIMULATED" : "simulated";
    for (size_t i = 0; i < sizeof errors / sizeof *errors; ++i)
        if (errors[i].code == code)
            *text = name ? errors[i].name : errors[i].text;
    return OK;
}

API cuGetErrorName(int code, char const** text) { return described(code, text, 1); }

API cuGetErrorString(int code, char const** text) { return described(code, text, 0); }

API cuGetProcAddress_v2(char const* symbol, void** found, int version, uint64_t flags, int* status)
{
    (void)version;
    (void)flags;
    char name[128];
    char const* const endings[] = {"_v2", "WithFlags", ""};
    *found = NULL;
    Dl_info self;
    dladdr((void*)cuInit, &self);
    void* const handle = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    for (int i = 0; i < 3 && !*found; ++i)
    {
        snprintf(name, sizeof name, "%s%s", symbol, endings[i]);
        *found = dlsym(handle, name);
    }
    dlclose(handle);
    if (status)
        *status = *found ? 0 : 1;
    return *found ? OK : NOT_FOUND;
}

API cuGetProcAddress(char const* symbol, void** found, int version, uint64_t flags)
{
    return cuGetProcAddress_v2(symbol, found, version, flags, NULL);
}
