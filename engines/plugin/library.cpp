// The two functions TensorRT looks for in a plugin library; nothing else is exported.
#include "attention_creator.h"
#include "boundary.h"

#include <NvInferRuntime.h>

#define BRIGES_EXPORT extern "C" __attribute__((visibility("default")))

BRIGES_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder)
{
    briges::setLogger(finder, __builtin_return_address(0));
}

BRIGES_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& nbCreators)
{
    static briges::AttentionCreator creator;
    static nvinfer1::IPluginCreatorInterface* const creators[] = {&creator};
    nbCreators = 1;
    return creators;
}
