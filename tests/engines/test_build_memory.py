"""What native attention is for: SAM's relative positions without a matrix of every token against every other."""

from __future__ import annotations

from pathlib import Path

from support.building import SILENT

from briges.engines.build import build_bundle
from briges.engines.request import BuildRequest
from briges.engines.spec import EngineSpec
from briges.export import presets
from briges.export.exporter import ExportRequest, export_model

# SAM at its full 1024 pixels, where a global block has 4096 tokens, and everything else small. At this size the plain
# form takes 4.3 times the memory; briges-v2-b at 518x518 (README) takes 4.0 times.
_MID = presets.Preset(
    name="briges-mid",
    summary="a semantic encoder of full resolution and little depth",
    layout="v2",
    geometry=presets.GeometrySpec(width=192, depth=4, heads=3, taps=(0, 1, 2, 3)),
    semantic=presets.SemanticSpec(width=192, depth=2, heads=3, global_blocks=(1,)),
    head=presets.HeadSpec(32, (24, 48, 96, 96)),
    licence=presets.APACHE,
    gate_heads=8,
    height_px=126,
    width_px=126,
)
_MATRIX_BYTES = 3 * 4096 * 4096 * 2  # logits or bias of every head in half precision


def activation_bytes(folder: Path, form: str) -> int:
    """What the builder says of an fp16 engine of the model with its attention in that form."""
    request = ExportRequest("briges-mid", 7, precision="fp16", attention=form, verify=False)  # type: ignore[arg-type]
    export_model(request, folder / f"{form}-model", SILENT.step)
    spec = EngineSpec("tensorrt-rtx", compute_capabilities=("8.6",))
    built = build_bundle(folder / f"{form}-model", folder / form, BuildRequest(spec), SILENT)
    (engine,) = built.manifest.engines
    assert engine.activation_bytes is not None
    return engine.activation_bytes


def test_native_attention_needs_a_third_of_the_memory_that_plain_attention_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, _MID.name, _MID)
    plain, native = (activation_bytes(tmp_path, form) for form in ("plain", "native"))
    print(f"activation memory: plain {plain / 1e6:.1f} MB, native {native / 1e6:.1f} MB, ratio {plain / native:.2f}")
    assert plain > _MATRIX_BYTES > 2 * native
    assert plain / native >= 3
