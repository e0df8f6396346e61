/* Streams, events, graphs and kernels of the simulated driver. Nothing runs when it is queued: work is done when
 * somebody waits for it, in the order that streams and events demand, so that a missing wait gives wrong results. */
#define _GNU_SOURCE
#include "simulated.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct Stream Stream;
typedef struct Graph Graph;

typedef enum { COPY, FILL, LAUNCH, WAIT } Kind;

typedef struct
{
    Kind kind;
    uint64_t to, from;
    size_t size;
    unsigned char byte;
    Function const* function;
    unsigned grid[3], block[3], shared;
    uint64_t values[MAX_PARAMETERS];
    Stream* other; /* of WAIT: until this stream has done so many */
    long until;
} Work;

struct Graph
{
    Work* work;
    long count, size;
};

struct Stream
{
    Work* work;
    long count, size, done;
    Graph* graph;      /* being captured into */
    int origin, dirty; /* began the capture; has captured work that no event of it covers yet */
    Stream* next;
};

typedef struct
{
    Stream* stream;
    long position;
    Graph* graph;
    double ms;
} Event;

/* name, PTX of its module, grid, block, count and values of the parameters. Not 0: the kernel failed. */
typedef int (*Launcher)(char const*, char const*, unsigned const*, unsigned const*, int, uint64_t const*);

static Stream* streams = NULL;
static Launcher launcher = NULL;
static double clock_ms = 0;
static __thread int captures = 0;
static pthread_mutex_t lock;

__attribute__((constructor)) static void prepare(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE); /* a kernel of Python may queue work itself */
    pthread_mutex_init(&lock, &attributes);
}

API sim_set_launcher(Launcher given)
{
    launcher = given;
    return OK;
}

int capturing(void) { return captures; }

static void append(Work** work, long* count, long* size, Work const* item)
{
    if (*count == *size)
    {
        *size = *size ? 2 * *size : 16;
        *work = realloc(*work, (size_t)*size * sizeof **work);
    }
    (*work)[(*count)++] = *item;
}

static void drain(Stream* stream, long until);

static void perform(Work const* item)
{
    clock_ms += 0.125;
    if (item->kind == WAIT)
    {
        drain(item->other, item->until);
        return;
    }
    if (sticky)
        return;
    if (item->kind == LAUNCH)
    {
        if (launcher
            && launcher(item->function->name, item->function->ptx, item->grid, item->block, item->function->count,
                item->values))
            sticky = ILLEGAL_ADDRESS;
        return;
    }
    if (!is_live(item->to, item->size) || (item->kind == COPY && !is_live(item->from, item->size)))
        sticky = ILLEGAL_ADDRESS;
    else if (item->kind == COPY)
        memmove((void*)(uintptr_t)item->to, (void*)(uintptr_t)item->from, item->size);
    else
        memset((void*)(uintptr_t)item->to, item->byte, item->size);
}

static void drain(Stream* stream, long until)
{
    while (stream->done < until && stream->done < stream->count)
    {
        Work const item = stream->work[stream->done++];
        perform(&item);
    }
}

void drain_everything(void)
{
    pthread_mutex_lock(&lock);
    for (Stream* stream = streams; stream; stream = stream->next)
        drain(stream, stream->count);
    pthread_mutex_unlock(&lock);
}

static int queue(Stream* stream, Work const* item)
{
    if (!stream)
        return INVALID_HANDLE; /* the default stream is never ours */
    pthread_mutex_lock(&lock);
    if (stream->graph)
    {
        append(&stream->graph->work, &stream->graph->count, &stream->graph->size, item);
        stream->dirty = 1;
    }
    else
        append(&stream->work, &stream->count, &stream->size, item);
    pthread_mutex_unlock(&lock);
    return OK;
}

API cuStreamCreate(Stream** stream, unsigned flags)
{
    ENTER("cuStreamCreate");
    if (flags != 1) /* CU_STREAM_NON_BLOCKING: others would wait for the default stream */
        return INVALID_VALUE;
    *stream = calloc(1, sizeof **stream);
    pthread_mutex_lock(&lock);
    (*stream)->next = streams;
    streams = *stream;
    ++live[STREAMS];
    pthread_mutex_unlock(&lock);
    return OK;
}

API cuStreamDestroy_v2(Stream* stream)
{
    ENTER("cuStreamDestroy");
    pthread_mutex_lock(&lock);
    drain(stream, stream->count);
    for (Stream** place = &streams; *place; place = &(*place)->next)
        if (*place == stream)
        {
            *place = stream->next;
            break;
        }
    --live[STREAMS];
    pthread_mutex_unlock(&lock);
    return OK; /* its memory stays: events may still point to it */
}

API cuStreamSynchronize(Stream* stream)
{
    ENTER("cuStreamSynchronize");
    if (capturing())
        return CAPTURE_UNSUPPORTED;
    pthread_mutex_lock(&lock);
    drain(stream, stream->count);
    pthread_mutex_unlock(&lock);
    return sticky;
}

API cuEventCreate(Event** event, unsigned flags)
{
    ENTER("cuEventCreate");
    (void)flags;
    *event = calloc(1, sizeof **event);
    ++live[EVENTS];
    return OK;
}

API cuEventDestroy_v2(Event* event)
{
    ENTER("cuEventDestroy");
    free(event);
    --live[EVENTS];
    return OK;
}

API cuEventRecord(Event* event, Stream* stream)
{
    ENTER("cuEventRecord");
    if ((uintptr_t)stream <= 2)
    { /* a default stream, 1 and 2 by number: nothing of ours is in it */
        *event = (Event){NULL, 0, NULL, clock_ms};
        return OK;
    }
    *event = (Event){stream, stream->count, stream->graph, clock_ms + 0.125 * (double)stream->count};
    if (stream->graph)
        stream->dirty = 2; /* covered once somebody waits for this event */
    return OK;
}

API cuStreamWaitEvent(Stream* stream, Event* event, unsigned flags)
{
    ENTER("cuStreamWaitEvent");
    if (flags || !stream)
        return INVALID_VALUE;
    if (event->graph)
    { /* joins the capture */
        if (stream->graph && stream->graph != event->graph)
            return CAPTURE_INVALIDATED;
        stream->graph = event->graph;
        if (event->stream != stream && event->stream->dirty == 2)
            event->stream->dirty = 0;
        return OK;
    }
    if (!event->stream)
        return OK;
    Work const item = {.kind = WAIT, .other = event->stream, .until = event->position};
    return queue(stream, &item);
}

API cuEventSynchronize(Event* event)
{
    ENTER("cuEventSynchronize");
    if (capturing())
        return CAPTURE_UNSUPPORTED;
    pthread_mutex_lock(&lock);
    if (event->stream)
        drain(event->stream, event->position);
    pthread_mutex_unlock(&lock);
    return sticky;
}

API cuEventElapsedTime(float* ms, Event* earlier, Event* later)
{
    ENTER("cuEventElapsedTime");
    if (later->stream && later->stream->done < later->position)
        return NOT_READY;
    *ms = (float)(later->ms - earlier->ms);
    return OK;
}

API cuEventElapsedTime_v2(float* ms, Event* earlier, Event* later) { return cuEventElapsedTime(ms, earlier, later); }

API cuMemcpyAsync(uint64_t to, uint64_t from, size_t size, Stream* stream)
{
    ENTER("cuMemcpyAsync");
    Work const item = {.kind = COPY, .to = to, .from = from, .size = size};
    return queue(stream, &item);
}

API cuMemsetD8Async(uint64_t to, unsigned char byte, size_t size, Stream* stream)
{
    ENTER("cuMemsetD8Async");
    Work const item = {.kind = FILL, .to = to, .byte = byte, .size = size};
    return queue(stream, &item);
}

/* The other way to give the parameters: CU_LAUNCH_PARAM_BUFFER_POINTER (1) and _SIZE (2), packed as a C struct. */
static int unpack(Function const* function, void** extra, Work* item)
{
    if (extra[0] != (void*)1 || extra[2] != (void*)2 || extra[4])
        return INVALID_VALUE;
    size_t at = 0;
    for (int i = 0; i < function->count; ++i)
    {
        size_t const size = (size_t)function->sizes[i];
        at = (at + size - 1) / size * size;
        if (at + size > *(size_t*)extra[3])
            return INVALID_VALUE;
        memcpy(&item->values[i], (char*)extra[1] + at, size);
        at += size;
    }
    return at == *(size_t*)extra[3] ? OK : INVALID_VALUE;
}

API cuLaunchKernel(Function const* function, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz,
    unsigned shared, Stream* stream, void** parameters, void** extra)
{
    ENTER("cuLaunchKernel");
    if (!extra == !parameters || !x || !y || !z || bx * by * bz > 1024)
        return INVALID_VALUE;
    Work item = {.kind = LAUNCH, .function = function, .grid = {x, y, z}, .block = {bx, by, bz}, .shared = shared};
    for (int i = 0; parameters && i < function->count; ++i) /* as the driver: values are taken when it is queued */
        memcpy(&item.values[i], parameters[i], (size_t)function->sizes[i]);
    int const code = extra ? unpack(function, extra, &item) : OK;
    return code ? code : queue(stream, &item);
}

API cuStreamBeginCapture_v2(Stream* stream, int mode)
{
    ENTER("cuStreamBeginCapture");
    if (mode != 1 || stream->graph) /* CU_STREAM_CAPTURE_MODE_THREAD_LOCAL */
        return INVALID_VALUE;
    stream->graph = calloc(1, sizeof *stream->graph);
    stream->origin = 1;
    ++captures;
    ++live[GRAPHS];
    return OK;
}

API cuStreamEndCapture(Stream* stream, Graph** graph)
{
    int const entered = enter("cuStreamEndCapture");
    int unjoined = 0;
    Graph* const made = stream->graph;
    for (Stream* other = streams; other; other = other->next)
        if (made && other->graph == made)
        {
            unjoined |= !other->origin && other->dirty;
            other->graph = NULL;
            other->origin = other->dirty = 0;
        }
    captures = captures > 0 ? captures - 1 : 0;
    *graph = entered || unjoined ? NULL : made;
    if (!*graph && made)
        --live[GRAPHS];
    return entered ? entered : unjoined ? CAPTURE_UNJOINED : OK;
}

API cuGraphInstantiateWithFlags(Graph** executable, Graph* graph, uint64_t flags)
{
    ENTER("cuGraphInstantiate");
    (void)flags;
    *executable = calloc(1, sizeof **executable);
    for (long i = 0; i < graph->count; ++i)
        append(&(*executable)->work, &(*executable)->count, &(*executable)->size, &graph->work[i]);
    ++live[GRAPHS];
    return OK;
}

API cuGraphLaunch(Graph* executable, Stream* stream)
{
    ENTER("cuGraphLaunch");
    for (long i = 0; i < executable->count; ++i)
        queue(stream, &executable->work[i]);
    return OK;
}

static int forget(Graph* graph)
{
    free(graph->work);
    free(graph);
    --live[GRAPHS];
    return OK;
}

API cuGraphDestroy(Graph* graph)
{
    ENTER("cuGraphDestroy");
    return forget(graph);
}

API cuGraphExecDestroy(Graph* executable)
{
    ENTER("cuGraphExecDestroy");
    return forget(executable);
}
