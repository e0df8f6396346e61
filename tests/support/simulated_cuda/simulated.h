/* What the parts of the simulated driver share. A plain C subset of the driver's interface, written from its public
 * documentation: no CUDA header is needed to compile it. */
#ifndef SIMULATED_H
#define SIMULATED_H
#include <stddef.h>
#include <stdint.h>

#define API __attribute__((visibility("default"))) int
#define MAX_PARAMETERS 40

enum
{
    OK = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALISED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_PTX = 218,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_UNJOINED = 904
};

/* What is live, by kind: the tests ask for the counts. */
enum
{
    DEVICE_MEMORY,
    HOST_MEMORY,
    STREAMS,
    EVENTS,
    GRAPHS,
    MODULES,
    CONTEXTS,
    KINDS
};

extern long live[KINDS];
extern int sticky;

/* The state every call is checked against: a failure the test ordered, a sticky error, a current context. */
int enter(char const* function);
int capturing(void);
#define ENTER(function)                                                                                                \
    do                                                                                                                 \
    {                                                                                                                  \
        int const entered = enter(function);                                                                           \
        if (entered)                                                                                                   \
            return entered;                                                                                            \
    } while (0)

/* Whether [address, address + size) lies within one live allocation. */
int is_live(uint64_t address, size_t size);

typedef struct
{
    char name[128];
    char* ptx;
    int count, sizes[MAX_PARAMETERS];
} Function;

void drain_everything(void);
#endif
