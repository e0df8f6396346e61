// The node's attributes, and what its inputs must look like. Pure functions: each returns the reason, or nothing.
#pragma once

#include "kernels.h"

#include <NvInferRuntime.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace briges
{

// plugin.yaml says what each means. 0 x 0: no relative positions.
struct Attributes
{
    int32_t numHeads{0};
    int32_t headDim{0};
    int32_t queryOffset{0};
    int32_t keyOffset{0};
    int32_t valueOffset{0};
    int32_t gridHeight{0};
    int32_t gridWidth{0};

    int64_t width() const noexcept
    {
        return int64_t{numHeads} * headDim;
    }
    int32_t columns() const noexcept
    {
        return columnsFor(gridHeight, gridWidth);
    }
};

struct AttributeName
{
    char const* name;
    int32_t Attributes::*member;
};

// As the node has them, and as an engine stores them.
inline constexpr std::array<AttributeName, 7> kAttributeNames{{
    {"num_heads", &Attributes::numHeads},
    {"head_dim", &Attributes::headDim},
    {"query_offset", &Attributes::queryOffset},
    {"key_offset", &Attributes::keyOffset},
    {"value_offset", &Attributes::valueOffset},
    {"grid_height", &Attributes::gridHeight},
    {"grid_width", &Attributes::gridWidth},
}};

// Positions of the inputs.
enum Input : int32_t
{
    kQuery,
    kKey,
    kValue,
    kTemperature,
    kRelPosH,
    kRelPosW,
};

inline constexpr std::array<char const*, 6> kInputNames{
    "query", "key", "value", "temperature", "rel_pos_h", "rel_pos_w"};

inline constexpr int32_t kInputsWithoutTables = 4;
inline constexpr int32_t kInputsWithTables = 6;

std::string checkAttributes(Attributes const& attributes);

// `inputs`: their shapes, -1 for a side that is not known yet.
std::string checkShapes(Attributes const& attributes, std::vector<nvinfer1::Dims> const& inputs);

} // namespace briges
