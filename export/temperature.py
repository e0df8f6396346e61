"""The option --temperature: one number, one per site, or an input of the graph."""

from __future__ import annotations

import math

from briges.runtime.errors import UsageError
from briges.runtime.sidecar import Temperature

_SITES = ("cross", "self")


def parse_temperature(text: str, *, gated: bool) -> Temperature:
    """Read "3.0", "cross=3,self=1" or "dynamic".

    Raises UsageError for anything else, for a temperature <= 0, and for any but 1 where there are no gates.
    """
    cross, self_attention = (1.0, 1.0) if text == "dynamic" else _numbers(text)
    if not gated:
        if text == "dynamic" or (cross, self_attention) != (1.0, 1.0):
            raise UsageError(
                subject="--temperature",
                came=f"{text} for a preset without Bridging Gates",
                expected="no temperature: it divides the gates' attention logits and nothing else",
                cure="leave it out, or choose a briges-* preset",
            )
        return Temperature("none", 1.0, 1.0, learned=())
    return Temperature("dynamic" if text == "dynamic" else "folded", cross, self_attention, learned=())


def _numbers(text: str) -> tuple[float, float]:
    try:
        if "=" not in text:
            values = dict.fromkeys(_SITES, float(text))
        else:
            pairs = [item.split("=") for item in text.split(",")]
            values = {name.strip(): float(number) for name, number in pairs}
            if tuple(sorted(values)) != _SITES or len(pairs) != len(_SITES):
                raise ValueError
        if not all(math.isfinite(value) and value > 0 for value in values.values()):
            raise ValueError
    except ValueError as error:
        raise UsageError(
            subject="--temperature",
            came=repr(text),
            expected="a number above 0, or cross=NUMBER,self=NUMBER, or dynamic",
            cure="1.0 is the model as trained; 3.0 is the value most often used in the authors' public code",
        ) from error
    return values["cross"], values["self"]
