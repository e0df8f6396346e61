"""The GPU side of the runtime: a narrow device layer, TensorRT on it, and the image kernels. Imports no CUDA package."""
