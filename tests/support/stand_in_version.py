"""The version of TensorRT that the stand-in says it is; apart, since the stand-in itself needs a driver."""

VERSION = "10.13.3.9"
