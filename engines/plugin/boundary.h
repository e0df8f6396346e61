// What stands between this library and TensorRT: its logger, and a wall that no exception passes.
#pragma once

#include <NvInferRuntime.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace briges
{

// Why a node is refused: the text is one line for the log.
class Refusal : public std::runtime_error
{
public:
    using std::runtime_error::runtime_error;
};

// Checks return a text, empty where nothing is wrong.
inline void refuseIf(std::string const& problem)
{
    if (!problem.empty())
    {
        throw Refusal(problem);
    }
}

// finder: TensorRT's. caller: an address in TensorRT's own code.
void setLogger(nvinfer1::ILoggerFinder* finder, void const* caller) noexcept;

// One error in TensorRT's log, with the operator's name before it.
void logError(char const* text) noexcept;

// Runs what may throw. What it throws becomes one error in the log, and `failure`.
template <typename Result, typename Body>
Result guarded(Result failure, Body&& body) noexcept
{
    try
    {
        return body();
    }
    catch (std::exception const& error)
    {
        logError(error.what());
    }
    catch (...)
    {
        logError("an unknown exception; report it with this log");
    }
    return failure;
}

} // namespace briges
