// Reads the attributes: those that are absent keep their defaults, those of TensorRT itself are not ours to read.
#include "attention_creator.h"

#include "attention_plugin.h"
#include "boundary.h"

#include <algorithm>
#include <string>

namespace briges
{
namespace
{

using namespace nvinfer1;

int32_t integer(PluginField const& field)
{
    if (field.type != PluginFieldType::kINT32 || field.length != 1 || field.data == nullptr)
    {
        throw Refusal("attribute " + std::string(field.name) + " has type " + std::to_string(int32_t(field.type))
            + " and length " + std::to_string(field.length)
            + "; expected one INT32. Export the model again with `briges export`");
    }
    return *static_cast<int32_t const*>(field.data);
}

void read(PluginField const& field, Attributes& attributes)
{
    std::string const name = field.name == nullptr ? "" : field.name;
    auto const* const found = std::find_if(kAttributeNames.begin(), kAttributeNames.end(),
        [&](AttributeName const& attribute) { return name == attribute.name; });
    if (found != kAttributeNames.end())
    {
        attributes.*found->member = integer(field);
    }
}

} // namespace

AttentionCreator::AttentionCreator() noexcept
{
    for (size_t i = 0; i < kAttributeNames.size(); ++i)
    {
        mFields[i] = {kAttributeNames[i].name, nullptr, PluginFieldType::kINT32, 1};
    }
    mCollection = {static_cast<int32_t>(mFields.size()), mFields.data()};
}

// An engine stores what the node had: both phases read the same fields.
IPluginV3* AttentionCreator::createPlugin(char const*, PluginFieldCollection const* fields, TensorRTPhase) noexcept
{
    return guarded<IPluginV3*>(nullptr, [&] {
        Attributes attributes;
        for (int32_t i = 0; fields != nullptr && i < fields->nbFields; ++i)
        {
            read(fields->fields[i], attributes);
        }
        return new AttentionPlugin(attributes);
    });
}

PluginFieldCollection const* AttentionCreator::getFieldNames() noexcept
{
    return &mCollection;
}

char const* AttentionCreator::getPluginName() const noexcept
{
    return kPluginName;
}

char const* AttentionCreator::getPluginVersion() const noexcept
{
    return kPluginVersion;
}

char const* AttentionCreator::getPluginNamespace() const noexcept
{
    return kPluginNamespace;
}

} // namespace briges
