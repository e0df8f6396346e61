// Drives the library as TensorRT's builder does, step by step from the command line, and prints every answer.
#include "harness.h"

using namespace nvinfer1;

namespace
{

struct Expression : IDimensionExpr, apiv::VDimensionExpr
{
    int64_t value;
    explicit Expression(int64_t known)
        : value(known)
    {
        mImpl = this;
    }
    bool isConstant() const override
    {
        return value >= 0;
    }
    int64_t getConstantValue() const override
    {
        return value;
    }
    bool isSizeTensor() const override
    {
        return false;
    }
};

struct Expressions : IExprBuilder, apiv::VExprBuilder
{
    Expressions()
    {
        mImpl = this;
    }
    IDimensionExpr const* constant(int64_t value) override
    {
        return new Expression(value);
    }
    IDimensionExpr const* operation(DimensionOperation, IDimensionExpr const&, IDimensionExpr const&) override
    {
        return nullptr;
    }
    IDimensionExpr const* declareSizeTensor(int32_t, IDimensionExpr const&, IDimensionExpr const&) override
    {
        return nullptr;
    }
};

void outputShape(IPluginV3OneBuild* build, std::string const& shapes)
{
    Expressions builder;
    std::vector<DimsExprs> inputs;
    for (PluginTensorDesc const& input : toInputs(shapes, "fp16"))
    {
        DimsExprs shape{};
        shape.nbDims = input.dims.nbDims;
        for (int32_t i = 0; i < shape.nbDims; ++i)
        {
            shape.d[i] = new Expression(input.dims.d[i]);
        }
        inputs.push_back(shape);
    }
    DimsExprs output{};
    int32_t const code = build->getOutputShapes(
        inputs.data(), static_cast<int32_t>(inputs.size()), nullptr, 0, &output, 1, builder);
    std::printf("shape %d", code);
    for (int32_t i = 0; code == 0 && i < output.nbDims; ++i)
    {
        std::printf(" %lld", static_cast<long long>(static_cast<Expression const*>(output.d[i])->value));
    }
    std::printf("\n");
}

// bounds: "min;opt;max", or one for all three.
void configure(IPluginV3OneBuild* build, std::string const& bounds, std::string const& type)
{
    std::vector<std::string> const parts = split(bounds, ';');
    auto const min = toInputs(parts[0], type);
    auto const opt = toInputs(parts[parts.size() / 2], type);
    auto const max = toInputs(parts.back(), type);
    std::vector<DynamicPluginTensorDesc> inputs;
    for (size_t i = 0; i < opt.size(); ++i)
    {
        inputs.push_back({opt[i], min[i].dims, max[i].dims, opt[i].dims});
    }
    DynamicPluginTensorDesc const output = inputs[0];
    std::printf(
        "configure %d\n", build->configurePlugin(inputs.data(), static_cast<int32_t>(inputs.size()), &output, 1));
}

void change(IPluginV3OneRuntime* runtime, std::string const& shapes, std::string const& type)
{
    auto const inputs = toInputs(shapes, type);
    std::printf("change %d\n",
        runtime->onShapeChange(inputs.data(), static_cast<int32_t>(inputs.size()), inputs.data(), 1));
}

// Every type and two formats, for each position in turn, given a query of `type`.
void formats(IPluginV3OneBuild* build, std::string const& type, int32_t inputs)
{
    for (int32_t pos = 0; pos <= inputs; ++pos)
    {
        std::printf("formats %d:", pos);
        for (DataType const asked : {DataType::kFLOAT, DataType::kHALF, DataType::kBF16, DataType::kINT32})
        {
            for (TensorFormat const format : {TensorFormat::kLINEAR, TensorFormat::kCHW2})
            {
                std::vector<DynamicPluginTensorDesc> all(static_cast<size_t>(inputs) + 1);
                all[0].desc.type = toType(type);
                all[static_cast<size_t>(pos)].desc.type = asked;
                all[static_cast<size_t>(pos)].desc.format = format;
                if (build->supportsFormatCombination(pos, all.data(), inputs, 1))
                {
                    std::printf(" %d/%d", static_cast<int>(asked), static_cast<int>(format));
                }
            }
        }
        std::printf("\n");
    }
}

void describe(IPluginV3* plugin)
{
    auto* const core = capability<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE);
    auto* const build = capability<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
    auto* const runtime = capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
    std::printf("plugin %s::%s %s outputs %d workspace %zu tactics %d\n", core->getPluginNamespace(),
        core->getPluginName(), core->getPluginVersion(), build->getNbOutputs(),
        build->getWorkspaceSize(nullptr, 0, nullptr, 0), build->getNbTactics());
    std::printf("timing %s\n", build->getTimingCacheID());
    PluginFieldCollection const* const fields = runtime->getFieldsToSerialize();
    for (int32_t i = 0; i < fields->nbFields; ++i)
    {
        PluginField const& field = fields->fields[i];
        std::printf("field %s type %d length %d value %d\n", field.name, static_cast<int>(field.type), field.length,
            *static_cast<int32_t const*>(field.data));
    }
}

} // namespace

// contract LIBRARY STEP...: "create FIELDS", "shape SHAPES", "configure BOUNDS TYPE", "change SHAPES TYPE",
// "formats TYPE COUNT", "types TYPE,TYPE,...", "clone", "reload" (serialize, and create from that), "describe", "names".
int main(int count, char** words)
{
    Library library(words[1]);
    IPluginV3* plugin = nullptr;
    for (int i = 2; i < count; ++i)
    {
        std::vector<std::string> const step = split(words[i], ' ');
        auto* const build
            = plugin == nullptr ? nullptr : capability<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
        auto* const runtime
            = plugin == nullptr ? nullptr : capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
        if (step[0] == "create")
        {
            Fields const fields(step.size() > 1 ? step[1] : "");
            plugin = library.creator->createPlugin("node", &fields.collection, TensorRTPhase::kBUILD);
            std::printf("create %s\n", plugin == nullptr ? "nothing" : "plugin");
        }
        else if (step[0] == "names")
        {
            PluginFieldCollection const* const names = library.creator->getFieldNames();
            std::printf("creator %s::%s %s", library.creator->getPluginNamespace(), library.creator->getPluginName(),
                library.creator->getPluginVersion());
            for (int32_t name = 0; name < names->nbFields; ++name)
            {
                std::printf(" %s", names->fields[name].name);
            }
            std::printf("\n");
        }
        else if (plugin == nullptr)
        {
            break;
        }
        else if (step[0] == "shape")
        {
            outputShape(build, step[1]);
        }
        else if (step[0] == "configure")
        {
            configure(build, step[1], step[2]);
        }
        else if (step[0] == "change")
        {
            change(runtime, step[1], step[2]);
        }
        else if (step[0] == "formats")
        {
            formats(build, step[1], std::atoi(step[2].c_str()));
        }
        else if (step[0] == "types")
        {
            std::vector<DataType> types;
            for (std::string const& word : split(step[1], ','))
            {
                types.push_back(toType(word));
            }
            DataType output{};
            int32_t const count = static_cast<int32_t>(types.size());
            int32_t const code = build->getOutputDataTypes(&output, 1, types.data(), count);
            std::printf("types %d %d\n", code, static_cast<int>(output));
        }
        else if (step[0] == "clone")
        {
            IPluginV3* const original = plugin;
            plugin = original->clone();
            delete original;
        }
        else if (step[0] == "reload")
        {
            PluginFieldCollection const* const fields = runtime->getFieldsToSerialize();
            IPluginV3* const original = plugin;
            plugin = library.creator->createPlugin("node", fields, TensorRTPhase::kRUNTIME);
            delete original;
        }
        else if (step[0] == "describe")
        {
            describe(plugin);
        }
        else
        {
            std::printf("no such step: %s\n", words[i]);
            return 2;
        }
    }
    delete plugin;
    return 0;
}
