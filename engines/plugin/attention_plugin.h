// One attention node of a network, as TensorRT builds and runs it.
#pragma once

#include "attention_shapes.h"
#include "modules.h"

#include <NvInferRuntime.h>

#include <array>
#include <memory>
#include <string>

namespace briges
{

inline constexpr char const* kPluginName = "TemperatureScaledAttention";
inline constexpr char const* kPluginVersion = "1";
inline constexpr char const* kPluginNamespace = "briges";

// What a launch needs beside addresses: decided once for the shapes, so that enqueue decides nothing.
struct Launch
{
    std::shared_ptr<LoadedKernel const> kernel;
    std::array<uint32_t, 3> blocks{};
    // As the kernel takes them: strides along batch and tokens of query, key and value, counts, sides of the grid.
    std::array<int32_t, 10> numbers{};
    bool tables{false};
};

class AttentionPlugin final : public nvinfer1::IPluginV3,
                              public nvinfer1::IPluginV3OneCore,
                              public nvinfer1::IPluginV3OneBuild,
                              public nvinfer1::IPluginV3OneRuntime
{
public:
    // Throws Refusal for attributes that no kernel serves.
    explicit AttentionPlugin(Attributes const& attributes);

    nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override;
    nvinfer1::IPluginV3* clone() noexcept override;

    char const* getPluginName() const noexcept override;
    char const* getPluginVersion() const noexcept override;
    char const* getPluginNamespace() const noexcept override;

    int32_t getNbOutputs() const noexcept override;
    int32_t getOutputDataTypes(nvinfer1::DataType* outputTypes, int32_t nbOutputs,
        nvinfer1::DataType const* inputTypes, int32_t nbInputs) const noexcept override;
    int32_t getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t nbInputs,
        nvinfer1::DimsExprs const* shapeInputs, int32_t nbShapeInputs, nvinfer1::DimsExprs* outputs,
        int32_t nbOutputs, nvinfer1::IExprBuilder& exprBuilder) noexcept override;
    bool supportsFormatCombination(int32_t pos, nvinfer1::DynamicPluginTensorDesc const* inOut, int32_t nbInputs,
        int32_t nbOutputs) noexcept override;
    int32_t configurePlugin(nvinfer1::DynamicPluginTensorDesc const* in, int32_t nbInputs,
        nvinfer1::DynamicPluginTensorDesc const* out, int32_t nbOutputs) noexcept override;
    char const* getTimingCacheID() noexcept override;

    int32_t onShapeChange(nvinfer1::PluginTensorDesc const* in, int32_t nbInputs,
        nvinfer1::PluginTensorDesc const* out, int32_t nbOutputs) noexcept override;
    int32_t enqueue(nvinfer1::PluginTensorDesc const* inputDesc, nvinfer1::PluginTensorDesc const* outputDesc,
        void const* const* inputs, void* const* outputs, void* workspace, cudaStream_t stream) noexcept override;
    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext* context) noexcept override;
    nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept override;

private:
    KernelRequest request(nvinfer1::DataType queryType) const;
    void holdKernel(nvinfer1::DataType queryType);
    void plan(nvinfer1::PluginTensorDesc const* in, int32_t nbInputs) noexcept;

    Attributes mAttributes;
    std::string mTimingCacheId;
    Launch mLaunch;
    // What getFieldsToSerialize points to.
    std::array<nvinfer1::PluginField, kAttributeNames.size()> mFields{};
    nvinfer1::PluginFieldCollection mCollection{};
};

} // namespace briges
