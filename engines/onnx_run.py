"""Runs a graph whose weights lie in files, on ONNX Runtime's CPU, without a second copy of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from briges.runtime.errors import BackendError
from briges.runtime.onnx_backend import import_onnxruntime

Outputs = dict[str, NDArray[Any]]
GraphRun = Callable[[Mapping[str, NDArray[Any]]], Outputs]

_ERRORS_ONLY = 3


def open_graph(model: ModelProto, folder: Path, *, literal: bool) -> GraphRun:
    """Load ``model``, whose external weights lie in ``folder``. Returns what runs it on the arrays of its inputs.

    literal: execute the nodes as they are written and in that order, as an emulated graph needs it: half weights then
    stay mapped from their file, and each is cast when its turn comes. Otherwise ONNX Runtime optimises.
    Raises BackendError, as the returned function does.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.enable_mem_pattern = False  # as in runtime/onnx_backend.py: it would double the activations
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    if literal:
        # Anything more folds the casts of the weights at load: a copy in float32 of each, and ten times the time.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # The default order runs those casts long before they are needed: all weights in float32 at once.
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common base class for its errors
        raise _failed("cannot load the graph", error) from error
    names = [output.name for output in session.get_outputs()]

    def run(feed: Mapping[str, NDArray[Any]]) -> Outputs:
        try:
            results = session.run(names, dict(feed))
        except Exception as error:
            raise _failed("inference failed", error) from error
        return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}

    return run


def _failed(what: str, error: Exception) -> BackendError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return BackendError(
        subject="ONNX Runtime",
        came=f"{what}: {reason}",
        expected="a graph of `briges export`, its weights beside it, and enough memory for one inference in float32",
        cure="export the model again; if memory is short, at a smaller --height and --width or preset",
    )
