// Checks the types of the inputs, and words what is wrong.
#include "attention_types.h"

#include "attention_shapes.h"

namespace briges
{
namespace
{

using nvinfer1::DataType;

std::string name(DataType type)
{
    switch (type)
    {
    case DataType::kFLOAT: return "float32";
    case DataType::kHALF: return "float16";
    case DataType::kBF16: return "bfloat16";
    default: return "of type " + std::to_string(static_cast<int32_t>(type));
    }
}

} // namespace

bool isHalf(DataType type) noexcept
{
    return type == DataType::kHALF || type == DataType::kBF16;
}

std::string checkTypes(std::vector<DataType> const& inputs)
{
    for (size_t index = 0; index < inputs.size() && index < kInputNames.size(); ++index)
    {
        DataType const type = inputs[index];
        bool const isTemperature = index == kTemperature;
        bool const right = isTemperature ? type == DataType::kFLOAT : isHalf(type) && type == inputs[kQuery];
        if (right)
        {
            continue;
        }
        std::string const wanted = isTemperature ? "float32"
            : index == kQuery                    ? "float16 or bfloat16"
                                                 : name(inputs[kQuery]) + ", as query is";
        return std::string(kInputNames[index]) + " is " + name(type) + "; expected " + wanted
            + (index == kQuery ? ". Build with --attention native" : ". Export the model again with `briges export`");
    }
    return {};
}

} // namespace briges
