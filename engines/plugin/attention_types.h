// Checks the types of the inputs.
#pragma once

#include <NvInferRuntime.h>

#include <string>
#include <vector>

namespace briges
{

// Whether the kernels compute in it.
bool isHalf(nvinfer1::DataType type) noexcept;

// What is wrong, empty where nothing is. Without this TensorRT says only that it finds no format to use.
std::string checkTypes(std::vector<nvinfer1::DataType> const& inputs);

} // namespace briges
