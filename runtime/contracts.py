"""The tensor contract between an exported model and whatever runs it: names, layouts, ranges, limits.

These names are public: other programs feed our ONNX files and engines by them.
"""

from __future__ import annotations

# uint8 [B, H, W, 3] RGB 0..255, normalised inside the graph; or float32 [B, 3, H, W], normalised by the host.
IMAGE = "image"
# The same for the semantic encoder at its own fixed size; absent for ungated presets.
SEMANTIC_IMAGE = "semantic_image"
# float32 [1], > 0: divides the gates' attention logits; present only in models exported with a dynamic temperature.
TEMPERATURE = "temperature"
# float32 [B, 1, H, W]: relative inverse depth, >= 0, larger is nearer, scale and shift unknown, never normalised.
DEPTH = "depth"

# Where `--split` cuts the graph, tensors of the model's own precision. The four feature maps of the geometry encoder,
# [B, N, C] each, shallow to deep; and the semantic encoder's map [B, C, 64, 64] before it is brought onto the depth
# grid, so that one semantic engine serves every input size.
GEOMETRY_FEATURES = tuple(f"geometry_features_{level}" for level in (1, 2, 3, 4))
SEMANTIC_FEATURES = "semantic_features"

# The attention plugin's creator in TensorRT's registry; also the operator of its nodes in ONNX, in a domain of the
# namespace's name.
PLUGIN_NAME = "TemperatureScaledAttention"
PLUGIN_NAMESPACE = "briges"
PLUGIN_VERSION = "1"

# A model folder holds the sidecar, a graph per input size (this one if there is one size), the weights beside it and
# what PyTorch made of our photographs in fp32; a bundle holds the manifest.
MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "model.onnx.data"
REFERENCE_FILE = "reference.npz"
SIDECAR_FILE = "model.json"
MANIFEST_FILE = "manifest.json"

# Heights and widths of the depth input are multiples of this, the patch of DINOv2 ViT/14.
PATCH_PX = 14

# The narrowest image with any depth to find in it: one patch.
MIN_SIDE_PX = PATCH_PX
# OpenCV's resize counts pixels in 16 signed bits; half of that leaves room for every intermediate.
MAX_SIDE_PX = 16384
# A strip more elongated than this has less than one patch of height left once its width fits.
MAX_ASPECT = 32.0
