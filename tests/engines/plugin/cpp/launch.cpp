// Drives the library as TensorRT's runtime does: plugins made from stored fields, attached, given shapes, run.
#include "harness.h"

#include <cstdlib>
#include <new>

using namespace nvinfer1;

namespace
{

bool counting = false;
int allocations = 0;

} // namespace

// Of the whole process, the plugin's library included: its malloc and operator new end here.
extern "C" void* __libc_malloc(size_t size);
extern "C" __attribute__((visibility("default"))) void* malloc(size_t size)
{
    allocations += counting ? 1 : 0;
    return __libc_malloc(size);
}

namespace
{

// The n-th input at (n + 1) << 20, the output after them.
int32_t run(IPluginV3OneRuntime* runtime, std::vector<PluginTensorDesc> const& inputs)
{
    std::vector<void const*> addresses;
    for (size_t i = 0; i < inputs.size(); ++i)
    {
        addresses.push_back(reinterpret_cast<void const*>((i + 1) << 20));
    }
    void* outputs[] = {reinterpret_cast<void*>(size_t{100} << 20)};
    PluginTensorDesc const output = inputs[0];
    allocations = 0;
    std::printf("{\"call\": \"enqueue\"}\n");
    counting = true;
    int32_t const code = runtime->enqueue(
        inputs.data(), &output, addresses.data(), outputs, nullptr, reinterpret_cast<cudaStream_t>(size_t{77}));
    counting = false;
    std::printf("{\"call\": \"enqueued\", \"code\": %d, \"allocations\": %d}\n", code, allocations);
    return code;
}

} // namespace

// launch LIBRARY COUNT STEP...: COUNT plugins, and for each of them in turn every step. "create FIELDS",
// "configure SHAPES TYPE", "attach", "change SHAPES TYPE", "run SHAPES TYPE", "context N" (makes it current).
int main(int count, char** words)
{
    // Before anything is counted: the first line of output would allocate its buffer.
    static char buffer[1 << 16];
    std::setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
    Library library(words[1]);
    size_t const plugins = static_cast<size_t>(std::atoi(words[2]));
    std::vector<IPluginV3*> all(plugins, nullptr);
    auto* const driver = static_cast<uintptr_t*>(::dlsym(::dlopen("libcuda.so.1", RTLD_NOW), "fakeContext"));
    for (int i = 3; i < count; ++i)
    {
        std::vector<std::string> const step = split(words[i], ' ');
        for (IPluginV3*& plugin : all)
        {
            if (step[0] == "create")
            {
                Fields const fields(step[1]);
                plugin = library.creator->createPlugin("node", &fields.collection, TensorRTPhase::kRUNTIME);
                continue;
            }
            auto* const runtime = capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
            if (step[0] == "attach")
            {
                IPluginV3* const original = plugin;
                plugin = runtime->attachToContext(nullptr);
                delete original;
            }
            else if (step[0] == "configure")
            {
                auto* const build = capability<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
                std::vector<DynamicPluginTensorDesc> inputs;
                for (PluginTensorDesc const& input : toInputs(step[1], step[2]))
                {
                    inputs.push_back({input, input.dims, input.dims, input.dims});
                }
                int32_t const code
                    = build->configurePlugin(inputs.data(), static_cast<int32_t>(inputs.size()), inputs.data(), 1);
                std::printf("{\"call\": \"configured\", \"code\": %d}\n", code);
            }
            else if (step[0] == "change")
            {
                auto const inputs = toInputs(step[1], step[2]);
                int32_t const code
                    = runtime->onShapeChange(inputs.data(), static_cast<int32_t>(inputs.size()), inputs.data(), 1);
                std::printf("{\"call\": \"changed\", \"code\": %d}\n", code);
            }
            else if (step[0] == "run")
            {
                run(runtime, toInputs(step[1], step[2]));
            }
            else if (step[0] == "context")
            {
                *driver = static_cast<uintptr_t>(std::atoi(step[1].c_str()));
            }
        }
    }
    std::printf("{\"call\": \"ending\"}\n");
    for (IPluginV3* const plugin : all)
    {
        delete plugin;
    }
    return 0;
}
