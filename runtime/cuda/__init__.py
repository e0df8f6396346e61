"""The GPU side of the runtime: a narrow device layer, the image kernels, and TensorRT on them."""
