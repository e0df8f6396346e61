// Checks attributes and shapes, and words what is wrong: what came, what was expected, what to do.
#include "attention_shapes.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace briges
{
namespace
{

using nvinfer1::Dims;
using std::to_string;

constexpr char const* kNative = ". Build with --attention native";
constexpr char const* kExport = ". Export the model again with `briges export`";
// Loads are 16 bytes wide: 8 elements from the first channel on, and the kernels are promised rows of 16.
constexpr int32_t kOffsetMultiple = 8;
constexpr int32_t kChannelMultiple = 16;
// Blocks of a launch along y and z, which are the heads and the batch.
constexpr int64_t kMostBlocks = 65535;

bool known(int64_t side) noexcept
{
    return side >= 0;
}

bool differ(int64_t side, int64_t expected) noexcept
{
    return known(side) && known(expected) && side != expected;
}

std::string text(Dims const& shape)
{
    std::string list;
    for (int32_t i = 0; i < shape.nbDims; ++i)
    {
        list += (i == 0 ? "" : ", ") + (known(shape.d[i]) ? to_string(shape.d[i]) : "?");
    }
    return "[" + list + "]";
}

std::string grid(Attributes const& attributes)
{
    return to_string(attributes.gridHeight) + " x " + to_string(attributes.gridWidth);
}

std::string checkOffset(char const* name, int32_t offset)
{
    if (offset >= 0 && offset % kOffsetMultiple == 0)
    {
        return {};
    }
    return std::string(name) + " is " + to_string(offset) + "; expected a multiple of " + to_string(kOffsetMultiple)
        + ", 0 or more" + kNative;
}

std::string checkGrid(Attributes const& attributes)
{
    int32_t const height = attributes.gridHeight;
    int32_t const width = attributes.gridWidth;
    bool const none = height == 0 && width == 0;
    bool const served = std::min(height, width) > 0 && std::max(height, width) <= kLongestSide;
    if (none || served)
    {
        return {};
    }
    return "grid_height x grid_width is " + grid(attributes) + "; expected sides from 1 to " + to_string(kLongestSide)
        + ", or neither" + kNative;
}

std::string checkInputCount(Attributes const& attributes, size_t count)
{
    if (count != kInputsWithoutTables && count != kInputsWithTables)
    {
        return "it has " + to_string(count)
            + " inputs; expected query, key, value and temperature, or also rel_pos_h and rel_pos_w" + kExport;
    }
    bool const tables = count == kInputsWithTables;
    if (tables && attributes.columns() == 0)
    {
        return std::string("it has rel_pos_h and rel_pos_w, but no grid; expected grid_height and grid_width")
            + kExport;
    }
    if (!tables && attributes.columns() != 0)
    {
        return "it has a grid of " + grid(attributes) + ", but 4 inputs; expected rel_pos_h and rel_pos_w as well"
            + kExport;
    }
    return {};
}

std::string checkRank(char const* name, Dims const& shape, int32_t rank)
{
    if (shape.nbDims == rank)
    {
        return {};
    }
    return std::string(name) + " has shape " + text(shape) + "; expected " + to_string(rank)
        + (rank == 1 ? " dimension" : " dimensions") + kExport;
}

std::string checkChannels(Attributes const& attributes, char const* name, int64_t channels, int32_t offset)
{
    if (!known(channels))
    {
        return {};
    }
    if (offset + attributes.width() > channels)
    {
        return to_string(attributes.numHeads) + " heads of " + to_string(attributes.headDim) + " channels at offset "
            + to_string(offset) + " do not fit in " + to_string(channels) + " channels of " + name + "; expected "
            + to_string(offset + attributes.width()) + " or more" + kExport;
    }
    if (channels % kChannelMultiple != 0)
    {
        return std::string(name) + " has " + to_string(channels) + " channels; expected a multiple of "
            + to_string(kChannelMultiple) + kNative;
    }
    return {};
}

std::string checkTokens(Attributes const& attributes, char const* name, Dims const& shape, int32_t offset)
{
    std::string problem = checkRank(name, shape, 3);
    if (!problem.empty())
    {
        return problem;
    }
    if (shape.d[0] == 0 || shape.d[1] == 0)
    {
        return std::string(name) + " has shape " + text(shape) + "; expected at least one token. Check the input sizes";
    }
    if (shape.d[0] > kMostBlocks)
    {
        return std::string(name) + " has a batch of " + to_string(shape.d[0]) + "; expected " + to_string(kMostBlocks)
            + " at most. Use a smaller batch";
    }
    problem = checkChannels(attributes, name, shape.d[2], offset);
    bool const counted = known(shape.d[1]) && known(shape.d[2]);
    if (problem.empty() && counted && shape.d[1] * shape.d[2] > std::numeric_limits<int32_t>::max())
    {
        problem = std::string(name) + " has " + to_string(shape.d[1] * shape.d[2])
            + " elements for each image; expected less than 2^31. Use a smaller input size";
    }
    return problem;
}

// They agree in batch, and key and value also in tokens.
std::string checkAgreement(std::vector<Dims> const& inputs)
{
    for (int32_t index : {kKey, kValue})
    {
        if (differ(inputs[index].d[0], inputs[kQuery].d[0]))
        {
            return std::string(kInputNames[index]) + " has a batch of " + to_string(inputs[index].d[0])
                + "; expected query's " + to_string(inputs[kQuery].d[0]) + kExport;
        }
    }
    if (differ(inputs[kValue].d[1], inputs[kKey].d[1]))
    {
        return "value has " + to_string(inputs[kValue].d[1]) + " tokens; expected key's "
            + to_string(inputs[kKey].d[1]) + kExport;
    }
    return {};
}

std::string checkTemperature(Dims const& shape)
{
    if (shape.nbDims == 1 && !differ(shape.d[0], 1))
    {
        return {};
    }
    return "temperature has shape " + text(shape) + "; expected [1]" + kExport;
}

std::string checkTable(char const* name, Dims const& shape, int32_t side, int32_t headDim)
{
    int32_t const rows = 2 * side - 1;
    if (shape.nbDims == 2 && !differ(shape.d[0], rows) && !differ(shape.d[1], headDim))
    {
        return {};
    }
    return std::string(name) + " has shape " + text(shape) + "; expected [" + to_string(rows) + ", "
        + to_string(headDim) + "]" + kExport;
}

std::string checkRelative(Attributes const& attributes, std::vector<Dims> const& inputs)
{
    int64_t const tokens = int64_t{attributes.gridHeight} * attributes.gridWidth;
    for (int32_t index : {kQuery, kKey})
    {
        if (differ(inputs[index].d[1], tokens))
        {
            return std::string(kInputNames[index]) + " has " + to_string(inputs[index].d[1])
                + " tokens; expected those of the grid, " + grid(attributes) + kExport;
        }
    }
    std::string const rows = checkTable(kInputNames[kRelPosH], inputs[kRelPosH], attributes.gridHeight, attributes.headDim);
    return rows.empty() ? checkTable(kInputNames[kRelPosW], inputs[kRelPosW], attributes.gridWidth, attributes.headDim)
                        : rows;
}

} // namespace

std::string checkAttributes(Attributes const& attributes)
{
    if (attributes.numHeads < 1 || attributes.numHeads > kMostBlocks)
    {
        return "num_heads is " + to_string(attributes.numHeads) + "; expected 1 to " + to_string(kMostBlocks) + kExport;
    }
    std::string const ofGrid = checkGrid(attributes);
    if (!ofGrid.empty())
    {
        return ofGrid;
    }
    int32_t const columns = attributes.columns();
    if (!hasKernel(attributes.headDim, columns))
    {
        return "head_dim is " + to_string(attributes.headDim)
            + (columns == 0 ? "" : " with a grid of " + grid(attributes)) + "; expected " + servedHeadDims(columns)
            + kNative;
    }
    for (auto const& [name, offset] : {std::pair{"query_offset", attributes.queryOffset},
             std::pair{"key_offset", attributes.keyOffset}, std::pair{"value_offset", attributes.valueOffset}})
    {
        std::string const problem = checkOffset(name, offset);
        if (!problem.empty())
        {
            return problem;
        }
    }
    return {};
}

std::string checkShapes(Attributes const& attributes, std::vector<Dims> const& inputs)
{
    std::string problem = checkInputCount(attributes, inputs.size());
    std::array<int32_t, 3> const offsets{attributes.queryOffset, attributes.keyOffset, attributes.valueOffset};
    for (size_t index = 0; problem.empty() && index < offsets.size(); ++index)
    {
        problem = checkTokens(attributes, kInputNames[index], inputs[index], offsets[index]);
    }
    if (problem.empty())
    {
        problem = checkAgreement(inputs);
    }
    if (problem.empty())
    {
        problem = checkTemperature(inputs[kTemperature]);
    }
    if (problem.empty() && inputs.size() == kInputsWithTables)
    {
        problem = checkRelative(attributes, inputs);
    }
    return problem;
}

} // namespace briges
