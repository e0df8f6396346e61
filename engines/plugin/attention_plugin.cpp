// The plugin's answers to TensorRT while an engine is built and run.
#include "attention_plugin.h"

#include "attention_types.h"
#include "boundary.h"

#include <optional>
#include <vector>

namespace briges
{
namespace
{

using namespace nvinfer1;

// TensorRT's convention: 0 is success.
constexpr int32_t kDone = 0;
constexpr int32_t kFailed = 1;

// -1 for a side that depends on the input.
Dims knownSides(DimsExprs const& shape)
{
    Dims sides{};
    sides.nbDims = shape.nbDims;
    for (int32_t i = 0; i < shape.nbDims; ++i)
    {
        sides.d[i] = shape.d[i]->isConstant() ? shape.d[i]->getConstantValue() : -1;
    }
    return sides;
}

// The shapes of all inputs; `of` takes one out of a description.
template <typename Description, typename Of>
std::vector<Dims> shapes(Description const* inputs, int32_t count, Of of)
{
    std::vector<Dims> all;
    for (int32_t i = 0; i < count; ++i)
    {
        all.push_back(of(inputs[i]));
    }
    return all;
}

std::string joined(Attributes const& attributes)
{
    std::string id;
    for (AttributeName const& attribute : kAttributeNames)
    {
        id += std::string(attribute.name) + "=" + std::to_string(attributes.*attribute.member) + ";";
    }
    return id;
}

CUcontext currentContext(Driver const& driver)
{
    CUcontext context = nullptr;
    require(driver, driver.ctxGetCurrent(&context), "cuCtxGetCurrent");
    if (context == nullptr)
    {
        throw Refusal("no CUDA context on this thread; expected TensorRT's. Call cudaSetDevice before the engine runs");
    }
    return context;
}

// In elements, from this node's first channel.
CUdeviceptr address(void const* tensor, int32_t offset) noexcept
{
    constexpr CUdeviceptr kHalfBytes = 2;
    return reinterpret_cast<CUdeviceptr>(tensor) + kHalfBytes * static_cast<CUdeviceptr>(offset);
}

} // namespace

AttentionPlugin::AttentionPlugin(Attributes const& attributes)
    : mAttributes(attributes)
    , mTimingCacheId(joined(attributes))
{
    refuseIf(checkAttributes(attributes));
}

IPluginCapability* AttentionPlugin::getCapabilityInterface(PluginCapabilityType type) noexcept
{
    switch (type)
    {
    case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
    case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild*>(this);
    case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
    }
    return nullptr;
}

IPluginV3* AttentionPlugin::clone() noexcept
{
    return guarded<IPluginV3*>(nullptr, [&] { return new AttentionPlugin(*this); });
}

char const* AttentionPlugin::getPluginName() const noexcept
{
    return kPluginName;
}

char const* AttentionPlugin::getPluginVersion() const noexcept
{
    return kPluginVersion;
}

char const* AttentionPlugin::getPluginNamespace() const noexcept
{
    return kPluginNamespace;
}

int32_t AttentionPlugin::getNbOutputs() const noexcept
{
    return 1;
}

int32_t AttentionPlugin::getOutputDataTypes(
    DataType* outputTypes, int32_t, DataType const* inputTypes, int32_t nbInputs) const noexcept
{
    if (nbInputs == 0) // getOutputShapes says what is missing
    {
        return kFailed;
    }
    return guarded(kFailed, [&] {
        refuseIf(checkTypes({inputTypes, inputTypes + nbInputs}));
        outputTypes[0] = inputTypes[kQuery];
        return kDone;
    });
}

int32_t AttentionPlugin::getOutputShapes(DimsExprs const* inputs, int32_t nbInputs, DimsExprs const*, int32_t,
    DimsExprs* outputs, int32_t, IExprBuilder& exprBuilder) noexcept
{
    return guarded(kFailed, [&] {
        refuseIf(checkShapes(mAttributes, shapes(inputs, nbInputs, knownSides)));
        outputs[0].nbDims = 3;
        outputs[0].d[0] = inputs[kQuery].d[0];
        outputs[0].d[1] = inputs[kQuery].d[1];
        outputs[0].d[2] = exprBuilder.constant(mAttributes.width());
        return kDone;
    });
}

bool AttentionPlugin::supportsFormatCombination(
    int32_t pos, DynamicPluginTensorDesc const* inOut, int32_t, int32_t) noexcept
{
    PluginTensorDesc const& asked = inOut[pos].desc;
    bool const typed = pos == kTemperature ? asked.type == DataType::kFLOAT
        : pos == kQuery                    ? isHalf(asked.type)
                                           : asked.type == inOut[kQuery].desc.type;
    return typed && asked.format == TensorFormat::kLINEAR;
}

int32_t AttentionPlugin::configurePlugin(
    DynamicPluginTensorDesc const* in, int32_t nbInputs, DynamicPluginTensorDesc const*, int32_t) noexcept
{
    return guarded(kFailed, [&] {
        for (auto const bound :
            {&DynamicPluginTensorDesc::min, &DynamicPluginTensorDesc::opt, &DynamicPluginTensorDesc::max})
        {
            refuseIf(checkShapes(mAttributes, shapes(in, nbInputs, [&](auto const& input) { return input.*bound; })));
        }
        KernelRequest const asked = request(in[kQuery].desc.type);
        // TensorRT-RTX builds where there is no GPU: whoever names its targets has asked for their kernels.
        Driver const* const driver = findDriver();
        std::optional<int32_t> const capability = driver == nullptr ? std::nullopt : computeCapability(*driver);
        if (capability.has_value())
        {
            requireKernel(*capability, asked);
        }
        return kDone;
    });
}

char const* AttentionPlugin::getTimingCacheID() noexcept
{
    return mTimingCacheId.c_str();
}

int32_t AttentionPlugin::onShapeChange(
    PluginTensorDesc const* in, int32_t nbInputs, PluginTensorDesc const*, int32_t) noexcept
{
    return guarded(kFailed, [&] {
        refuseIf(checkShapes(mAttributes, shapes(in, nbInputs, [](auto const& input) { return input.dims; })));
        holdKernel(in[kQuery].type);
        plan(in, nbInputs);
        return kDone;
    });
}

// The kernel is not loaded here but in onShapeChange: a plugin made from an engine does not know its type yet, and
// TensorRT calls onShapeChange before the first enqueue in any case. So the first run, which loads, must not be the one
// that is recorded into a CUDA graph; TensorRT itself asks for the same. A clone of one that ran keeps its kernel.
IPluginV3* AttentionPlugin::attachToContext(IPluginResourceContext*) noexcept
{
    return clone();
}

// Nothing here allocates, waits or loads: it may be recorded into a CUDA graph.
int32_t AttentionPlugin::enqueue(PluginTensorDesc const*, PluginTensorDesc const*, void const* const* inputs,
    void* const* outputs, void*, cudaStream_t stream) noexcept
{
    if (mLaunch.kernel == nullptr)
    {
        logError("it was run before its shapes were known; expected onShapeChange first. Report this");
        return kFailed;
    }
    std::array<CUdeviceptr, 9> addresses{
        address(inputs[kQuery], mAttributes.queryOffset),
        address(inputs[kKey], mAttributes.keyOffset),
        address(inputs[kValue], mAttributes.valueOffset),
        address(inputs[kTemperature], 0),
        address(inputs[mLaunch.tables ? kRelPosH : kQuery], 0),
        address(inputs[mLaunch.tables ? kRelPosW : kQuery], 0),
        address(outputs[0], 0),
        0, // Triton's scratch, which the kernels do not use
        0,
    };
    std::array<int32_t, 10> numbers = mLaunch.numbers;
    void* parameters[] = {&addresses[0], &addresses[1], &addresses[2], &addresses[3], &addresses[4], &addresses[5],
        &addresses[6], &numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4], &numbers[5], &numbers[6],
        &numbers[7], &numbers[8], &numbers[9], &addresses[7], &addresses[8]};
    return mLaunch.kernel->launch(mLaunch.blocks, parameters, reinterpret_cast<CUstream>(stream)) ? kDone : kFailed;
}

PluginFieldCollection const* AttentionPlugin::getFieldsToSerialize() noexcept
{
    for (size_t i = 0; i < kAttributeNames.size(); ++i)
    {
        AttributeName const& attribute = kAttributeNames[i];
        mFields[i] = {attribute.name, &(mAttributes.*attribute.member), PluginFieldType::kINT32, 1};
    }
    mCollection = {static_cast<int32_t>(mFields.size()), mFields.data()};
    return &mCollection;
}

KernelRequest AttentionPlugin::request(DataType queryType) const
{
    return {mAttributes.headDim, queryType == DataType::kBF16 ? kBf16 : kFp16, mAttributes.columns()};
}

// Called for every change of a shape or an address: what is held already is kept.
void AttentionPlugin::holdKernel(DataType queryType)
{
    Driver const& driver = requireDriver();
    CUcontext const context = currentContext(driver);
    std::shared_ptr<LoadedKernel const>& held = mLaunch.kernel;
    if (held != nullptr && held->serves(context, request(queryType)))
    {
        return;
    }
    std::optional<int32_t> const capability = computeCapability(driver);
    if (!capability.has_value())
    {
        throw Refusal("the driver does not tell the device's compute capability; expected it to. Update the driver");
    }
    held = loadKernel(driver, context, requireKernel(*capability, request(queryType)));
}

void AttentionPlugin::plan(PluginTensorDesc const* in, int32_t nbInputs) noexcept
{
    // The checks hold all of these below 2^31.
    auto const side = [&](int32_t input, int32_t axis) { return static_cast<int32_t>(in[input].dims.d[axis]); };
    for (int32_t input : {kQuery, kKey, kValue})
    {
        mLaunch.numbers[2 * input] = side(input, 1) * side(input, 2);
        mLaunch.numbers[2 * input + 1] = side(input, 2);
    }
    int32_t const queries = side(kQuery, 1);
    mLaunch.numbers[6] = queries;
    mLaunch.numbers[7] = side(kKey, 1);
    mLaunch.numbers[8] = mAttributes.gridHeight;
    mLaunch.numbers[9] = mAttributes.gridWidth;
    int32_t const perProgram = mLaunch.kernel->kernel().queriesPerProgram;
    mLaunch.blocks = {static_cast<uint32_t>((queries - 1) / perProgram + 1),
        static_cast<uint32_t>(mAttributes.numHeads), static_cast<uint32_t>(side(kQuery, 0))};
    mLaunch.tables = nbInputs == kInputsWithTables;
}

} // namespace briges
