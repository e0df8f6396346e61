"""The preset table states what the public configurations state, and is readable without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from briges.export.presets import IMAGE_MEAN, IMAGE_STD, PRESETS, find_preset
from briges.runtime.errors import UnknownNameError
from briges.runtime.main import main

LAST_FOUR_OF_12, LAST_FOUR_OF_24 = (8, 9, 10, 11), (20, 21, 22, 23)
SPREAD_OVER_12, SPREAD_OVER_24 = (2, 5, 8, 11), (4, 11, 17, 23)


def test_the_table_holds_the_four_published_models_six_baselines_and_the_tiny_one():
    baselines = {f"depth-anything-{version}-{size}" for version in ("v1", "v2") for size in "sbl"}
    gated = {f"briges-{version}-{size}" for version in ("v1", "v2") for size in "bl"}
    assert set(PRESETS) == baselines | gated | {"briges-tiny"}
    assert all(preset.name == name for name, preset in PRESETS.items())
    assert {name for name, preset in PRESETS.items() if preset.gated} == gated | {"briges-tiny"}


@pytest.mark.parametrize(
    ("name", "width", "depth", "heads", "taps", "features", "out_channels"),
    [
        ("depth-anything-v1-s", 384, 12, 6, LAST_FOUR_OF_12, 64, (48, 96, 192, 384)),
        ("depth-anything-v1-b", 768, 12, 12, LAST_FOUR_OF_12, 128, (96, 192, 384, 768)),
        ("depth-anything-v1-l", 1024, 24, 16, LAST_FOUR_OF_24, 256, (256, 512, 1024, 1024)),
        ("depth-anything-v2-s", 384, 12, 6, SPREAD_OVER_12, 64, (48, 96, 192, 384)),
        ("depth-anything-v2-b", 768, 12, 12, SPREAD_OVER_12, 128, (96, 192, 384, 768)),
        ("depth-anything-v2-l", 1024, 24, 16, SPREAD_OVER_24, 256, (256, 512, 1024, 1024)),
        ("briges-v1-b", 768, 12, 12, LAST_FOUR_OF_12, 128, (96, 192, 384, 768)),
        ("briges-v1-l", 1024, 24, 16, LAST_FOUR_OF_24, 256, (256, 512, 1024, 1024)),
        ("briges-v2-b", 768, 12, 12, SPREAD_OVER_12, 128, (96, 192, 384, 768)),
        ("briges-v2-l", 1024, 24, 16, SPREAD_OVER_24, 256, (256, 512, 1024, 1024)),
    ],
)
def test_the_geometry_encoder_and_the_head_are_those_of_depth_anything(
    name, width, depth, heads, taps, features, out_channels
):
    preset = find_preset(name)
    geometry = preset.geometry
    assert (geometry.width, geometry.depth, geometry.heads, geometry.taps) == (width, depth, heads, taps)
    assert (geometry.patch_px, geometry.position_grid) == (14, 37)
    assert (preset.head.features, preset.head.out_channels) == (features, out_channels)
    assert (preset.height_px, preset.width_px) == (518, 518)


@pytest.mark.parametrize(
    ("size", "width", "depth", "heads", "global_blocks", "gate_head_dim"),
    [("b", 768, 12, 12, (2, 5, 8, 11), 48), ("l", 1024, 24, 16, (5, 11, 17, 23), 64)],
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_gated_preset_adds_segment_anything_of_its_width_and_gates_with_16_heads(
    version, size, width, depth, heads, global_blocks, gate_head_dim
):
    preset = find_preset(f"briges-{version}-{size}")
    semantic = preset.semantic
    assert semantic is not None
    assert (semantic.width, semantic.depth, semantic.heads) == (width, depth, heads)
    assert semantic.global_blocks == global_blocks
    assert (semantic.image_px, semantic.patch_px, semantic.grid, semantic.window) == (1024, 16, 64, 14)
    assert semantic.width == preset.geometry.width
    assert (preset.gate_heads, preset.geometry.width // preset.gate_heads) == (16, gate_head_dim)
    assert (preset.layout, preset.aligner) == (version, "pool")


def test_only_weights_made_from_the_base_and_large_files_of_v2_forbid_commercial_use():
    bound = {name for name, preset in PRESETS.items() if preset.licence.startswith("CC-BY-NC-4.0")}
    assert bound == {f"{family}-v2-{size}" for family in ("briges", "depth-anything") for size in "bl"}
    assert all(preset.licence == "Apache-2.0" for name, preset in PRESETS.items() if name not in bound)
    assert all("no commercial use" in PRESETS[name].licence for name in bound)


def test_one_pair_of_statistics_serves_both_encoders():
    # Depth Anything states fractions of 255, Segment Anything the numbers themselves.
    assert pytest.approx(IMAGE_MEAN) == [255 * value for value in (0.485, 0.456, 0.406)]
    assert pytest.approx(IMAGE_STD) == [255 * value for value in (0.229, 0.224, 0.225)]


def test_every_summary_says_which_encoders_are_inside():
    assert find_preset("briges-v2-l").summary == "Depth Anything V2 ViT-L with Bridging Gates on SAM ViT-L"
    assert find_preset("depth-anything-v1-s").summary == "Depth Anything V1 ViT-S, no gates"


@pytest.mark.parametrize(
    ("name", "near"),
    [("briges-v2-bb", "briges-v2-b"), ("brige-v1-l", "briges-v1-l"), ("depth-anything-2-s", "depth-anything-v2-s")],
)
def test_an_unknown_preset_suggests_the_nearest_and_is_not_corrected(name, near):
    with pytest.raises(UnknownNameError) as caught:
        find_preset(name)
    assert (caught.value.subject, caught.value.came) == ("preset", repr(name))
    assert caught.value.cure == f"did you mean {near!r}?"
    assert all(known in caught.value.expected for known in PRESETS)


def test_a_name_like_nothing_gets_no_suggestion():
    with pytest.raises(UnknownNameError, match="pick a name from the list"):
        find_preset("xyz")


def test_the_command_line_exits_2_for_an_unknown_preset_and_suggests_the_nearest(capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["export", "briges-tinny", "--random-weights", "0", "--out", str(tmp_path / "model")])
    assert stopped.value.code == 2
    assert "Error: preset: 'briges-tinny'" in (told := capsys.readouterr().err)
    assert "cure: did you mean 'briges-tiny'?" in told
    assert list(tmp_path.iterdir()) == []


def test_the_table_needs_no_torch():
    code = "import sys, briges.export.presets; print(sorted({'torch', 'onnx'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
