// Makes plugins from a node's attributes, or from what an engine has stored of them.
#pragma once

#include "attention_shapes.h"

#include <NvInferRuntime.h>

#include <array>

namespace briges
{

class AttentionCreator final : public nvinfer1::IPluginCreatorV3One
{
public:
    AttentionCreator() noexcept;

    nvinfer1::IPluginV3* createPlugin(char const* name, nvinfer1::PluginFieldCollection const* fields,
        nvinfer1::TensorRTPhase phase) noexcept override;
    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override;
    char const* getPluginName() const noexcept override;
    char const* getPluginVersion() const noexcept override;
    char const* getPluginNamespace() const noexcept override;

private:
    std::array<nvinfer1::PluginField, kAttributeNames.size()> mFields{};
    nvinfer1::PluginFieldCollection mCollection{};
};

} // namespace briges
