"""The range pass: the largest magnitude of every tensor the network computes, while it runs on photographs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Ranges = dict[str, float]  # module path -> largest magnitude of the tensors computed by its own operators


@contextlib.contextmanager
def recording(model: nn.Module) -> Iterator[Ranges]:
    """Record while ``model`` runs, under ``torch.no_grad``; repeated runs widen the ranges.

    Every operator's result counts, so that the logits inside an attention are seen as well as a layer's output. A
    tensor belongs to the innermost module whose forward computed it.
    """
    ranges: Ranges = {}
    stack: list[str] = []
    hooks = []

    def leave(*_: Any) -> None:  # what a hook returns would replace the module's result
        stack.pop()

    for path, module in model.named_modules():
        # Modules of our own are told apart by their path, which a hook gets from nowhere else.
        hooks.append(module.register_forward_pre_hook(lambda *_, path=path: stack.append(path)))
        hooks.append(module.register_forward_hook(leave))
    try:
        recorder = _new_recorder()
        recorder.ranges, recorder.stack = ranges, stack
        with recorder:
            yield ranges
    finally:
        for hook in hooks:
            hook.remove()


class _Recorder(TorchDispatchMode):
    ranges: Ranges
    stack: list[str]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensor = result[0] if isinstance(result, tuple) else result  # a LayerNorm gives its statistics as well
        # Outside every module are the casts and constants around the model, which are float32 by contract.
        if self.stack and isinstance(tensor, Tensor) and tensor.is_floating_point() and not func.is_view:
            path = self.stack[-1]
            low, high = torch.aminmax(tensor)
            self.ranges[path] = max(self.ranges.get(path, 0.0), abs(float(low)), abs(float(high)))
        return result


_new_recorder: Callable[[], _Recorder] = _Recorder  # torch does not annotate the constructor
