"""The model of a bundle in PyTorch, eager or compiled: the baseline of every table, with the runtime's own pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from briges.benchmarks.contender import TIMED_REGION, Contender, RunSpec, count_unlike
from briges.benchmarks.frames import Frames, in_turn
from briges.benchmarks.processor import count_cores
from briges.benchmarks.rows import Subject
from briges.export.assemble import assemble, with_taps
from briges.export.checkpoints import WeightFiles
from briges.export.presets import find_preset
from briges.export.to_onnx import ContractModel
from briges.runtime import contracts
from briges.runtime.errors import UsageError
from briges.runtime.estimator import nearest_graph
from briges.runtime.files import sha256_of
from briges.runtime.manifest import Manifest, notices, read_manifest
from briges.runtime.postprocess import restore_size
from briges.runtime.preprocess import Placement, Scratch, fill_depth_input, fill_semantic_input, place
from briges.runtime.result import Timings
from briges.runtime.sidecar import ModelSpec, SizedGraph

Form = Literal["torch-eager", "torch-compile"]
# The inputs of one size, and what computes depth float32 [B, 1, H, W] from them.
_Sized = tuple[dict[str, Any], Callable[[dict[str, Any]], NDArray[np.float32]]]


@contextlib.contextmanager
def open_torch(bundle: Path, form: Form, source: WeightFiles | None, spec: RunSpec) -> Iterator[Contender]:
    """The model of ``bundle`` in PyTorch: on CUDA where PyTorch has it, in the bundle's precision there; else in fp32.

    source: the files the bundle was made from; None for a bundle of random weights, which are drawn again.
    Raises UsageError if the weights are not the bundle's, BundleError.
    """
    _require_defaults(spec)
    manifest = read_manifest(bundle)
    with contextlib.closing(TorchContender(manifest, form, source, spec)) as contender:
        yield contender


class TorchContender:
    """One model in PyTorch. Its buffers are those of the runtime's CPU path."""

    timed_region = TIMED_REGION
    packages: tuple[str, ...] = ("numpy", "torch", "triton", "opencv-python-headless", "pillow")

    def __init__(self, manifest: Manifest, form: Form, source: WeightFiles | None, spec: RunSpec) -> None:
        self.manifest, self._form, self._source = manifest, form, source
        self._temperature = 1.0 if spec.temperature is None else spec.temperature
        self.images = spec.images or manifest.model.batch
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(spec.threads or count_cores())
        on_gpu = torch.cuda.is_available()
        self._device = torch.device("cuda", spec.device) if on_gpu else torch.device("cpu")
        self._half = on_gpu and manifest.model.precision != "fp32"
        self.device_name = torch.cuda.get_device_name(self._device) if on_gpu else None
        self.copies = True if on_gpu else None
        self.device_index = spec.device if on_gpu else None
        self.unlike_requests = 1
        self._models: dict[str, _Sized] = {}
        self._scratch = Scratch()
        self.subject = self._describe(manifest.model.graphs[0])

    def load(self, frames: Frames) -> None:
        """As of ``Contender``."""
        self._frames, self.unlike_requests = frames, count_unlike(frames, self.images)
        self.subject = self._describe(nearest_graph(self.manifest.model.graphs, frames.images[0].shape))

    def request(self, number: int) -> Timings:
        """As of ``Contender``."""
        images = list(in_turn(self._frames, number, self.images))
        return self._estimate(images, self._temperature)[1]

    def depth_of(self, image: NDArray[np.uint8], temperature: float | None) -> NDArray[np.float32]:
        """As of ``Contender``."""
        images = [image] * self.images
        return self._estimate(images, 1.0 if temperature is None else temperature)[0][0]

    def twin(self) -> Contender:
        """PyTorch's streams are not ours to set up. Raises UsageError."""
        raise UsageError(
            subject="--streams",
            came=f"more than one with --backend {self._form}",
            expected="one stream for PyTorch",
            cure="leave out --streams, or the backend",
        )

    def close(self) -> None:
        """Give the weights back, and PyTorch its threads."""
        self._models.clear()
        torch.set_num_threads(self._threads_before)

    def _estimate(
        self, images: list[NDArray[np.uint8]], temperature: float
    ) -> tuple[list[NDArray[np.float32]], Timings]:
        started_s = time.perf_counter()
        graph = nearest_graph(self.manifest.model.graphs, images[0].shape)
        if graph.size not in self._models:
            self._models[graph.size] = self._prepare(graph)
        feed, run = self._models[graph.size]
        placements = [self._fill(feed, graph, slot, image) for slot, image in enumerate(images)]
        if contracts.TEMPERATURE in feed:
            feed[contracts.TEMPERATURE][0] = temperature
        prepared_s = time.perf_counter()
        output = run(feed)
        computed_s = time.perf_counter()
        depths = [
            restore_size(placement.crop(output[slot, 0]), image.shape[0], image.shape[1], None)
            for slot, (image, placement) in enumerate(zip(images, placements, strict=True))
        ]
        before_ms, model_ms = (prepared_s - started_s) * 1000, (computed_s - prepared_s) * 1000
        after_ms = (time.perf_counter() - computed_s) * 1000
        parts = (("preprocess", before_ms), ("model", model_ms), ("postprocess", after_ms))
        return depths, Timings(before_ms, model_ms, after_ms, "host", parts, model_ms)

    def _fill(self, feed: dict[str, Any], graph: SizedGraph, slot: int, image: NDArray[np.uint8]) -> Placement:
        placement = place(image.shape[0], image.shape[1], graph.image, "pad")
        fill_depth_input(image, graph.image, placement, feed[contracts.IMAGE][slot], scratch=self._scratch)
        for semantic in graph.inputs[1:]:
            fill_semantic_input(image, graph.image, semantic, placement, feed[semantic.name][slot])
        return placement

    def _prepare(self, graph: SizedGraph) -> _Sized:
        spec = self.manifest.model
        model: Any = rebuild(spec, graph, self._source).to(self._device)
        if self._form == "torch-compile":
            model = torch.compile(model)
        dtype = torch.bfloat16 if spec.precision == "bf16" else torch.float16

        def run(feed: dict[str, Any]) -> NDArray[np.float32]:
            tensors = {name: torch.from_numpy(array).to(self._device) for name, array in feed.items()}
            with torch.inference_mode(), torch.autocast(self._device.type, dtype, enabled=self._half):
                depth: NDArray[np.float32] = model(**tensors).float().cpu().numpy()  # waits for the GPU
            return depth

        return _empty_feed(spec, graph, self.images), run

    def _describe(self, graph: SizedGraph) -> Subject:
        model = self.manifest.model
        version = f"torch {torch.__version__} {self.device_name or 'CPU'}"
        return Subject(
            preset=model.preset,
            precision=model.precision if self._half else "fp32",
            size=graph.size,
            batch=self.images,
            engine=self._form,
            backend=f"{version}, {'compiled' if self._form == 'torch-compile' else 'eager'}"
            f"{', autocast' if self._half else ''}",
            attention="eager",
            temperature={"none": None, "dynamic": self._temperature, "folded": model.temperature.cross}[
                model.temperature.mode
            ],
            semantic_interval=1,
            cuda_graph=None,
            bundle=None,
            manifest_sha256=None,
            plugin_sha256=None,
            notices=notices(self.manifest),
        )


def _require_defaults(spec: RunSpec) -> None:
    asked = {
        "--semantic-interval": spec.semantic_interval > 1,
        "--no-copies": spec.copies is False,
        "--cuda-graph": spec.cuda_graph is True,
        "--provider cuda": spec.provider == "cuda",
    }
    if given := [name for name, is_given in asked.items() if is_given]:
        raise UsageError(
            subject=given[0],
            came="given for PyTorch, which does not have it here",
            expected="options that every --backend of the command has",
            cure="measure the engine and PyTorch in two commands that append to one --json file",
        )


def rebuild(spec: ModelSpec, graph: SizedGraph, source: WeightFiles | None) -> ContractModel:
    """The PyTorch model of one graph of a bundle, in fp32. Raises UsageError if ``source`` is not the bundle's."""
    seed = spec.weights.random_seed
    if (seed is None) == (source is None):
        raise UsageError(
            subject="--checkpoint",
            came="given for a bundle of random weights" if source else "nothing",
            expected="the weight files the bundle was made from" if seed is None else "no checkpoint",
            cure="leave it out" if source else "add --checkpoint FILE",
        )
    temperature = spec.temperature
    text = (
        "dynamic" if temperature.mode == "dynamic" else f"cross={temperature.cross},self={temperature.self_attention}"
    )
    known = {file.sha256 for file in spec.weights.files}
    if source is not None and source.checkpoint.is_file() and sha256_of(source.checkpoint) not in known:
        raise UsageError(
            subject=f"--checkpoint {source.checkpoint}",
            came="is not the file the bundle was made from",
            expected=f"the one with sha256 {spec.weights.files[0].sha256}",
            cure="give that file; its name was " + spec.weights.files[0].name,
        )
    assembled = assemble(
        with_taps(find_preset(spec.preset), spec.taps),
        source if source is not None else int(seed or 0),
        height_px=graph.image.height_px,
        width_px=graph.image.width_px,
        temperature=text,
    )
    return ContractModel(assembled.model).eval()


def _empty_feed(spec: ModelSpec, graph: SizedGraph, images: int) -> dict[str, Any]:
    feed: dict[str, Any] = {item.name: np.zeros(item.shape(images), item.dtype) for item in graph.inputs}
    if spec.temperature.mode == "dynamic":
        feed[contracts.TEMPERATURE] = np.ones(1, np.float32)
    return feed
