"""The image kernels: Triton sources, compiled ahead of time into package data of the runtime."""
