"""The table of public weight files is whole, consistent with the presets, and never corrects a name silently."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from briges.export.presets import PRESETS
from briges.export.public_weights import (
    PUBLIC_WEIGHTS,
    REFUSED_WEIGHTS,
    find_weight,
    refused_reason,
    weight_by_sha256,
)
from briges.runtime.errors import UnknownNameError

ENTRIES = [*PUBLIC_WEIGHTS.values(), *REFUSED_WEIGHTS]


def test_the_table_holds_the_eight_files_that_a_preset_can_use():
    depth = {f"depth-anything-{version}-{size}" for version in ("v1", "v2") for size in "sbl"}
    assert set(PUBLIC_WEIGHTS) == depth | {"sam-vit-b", "sam-vit-l"}
    assert {name for name, weight in PUBLIC_WEIGHTS.items() if weight.encoder == "depth"} == depth


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file_name)
def test_every_checksum_is_a_lower_case_sha256_and_every_size_is_that_of_a_network(entry):
    assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
    assert 90e6 < entry.bytes < 3e9


def test_no_checksum_and_no_file_name_occurs_twice():
    assert len({entry.sha256 for entry in ENTRIES}) == len(ENTRIES) == 15
    assert len({entry.file_name for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("weight", PUBLIC_WEIGHTS.values(), ids=lambda weight: weight.name)
def test_every_address_is_https_and_ends_in_the_file_name(weight):
    assert weight.url.startswith("https://")
    assert weight.url.endswith(f"/{weight.file_name}")


def test_the_addresses_are_those_where_the_authors_publish():
    assert find_weight("depth-anything-v2-l").url == (
        "https://huggingface.co/depth-anything/Depth-Anything-V2-Large/resolve/main/depth_anything_v2_vitl.pth"
    )
    assert find_weight("depth-anything-v1-s").url == (
        "https://huggingface.co/spaces/LiheYoung/Depth-Anything/resolve/main/checkpoints/depth_anything_vits14.pth"
    )
    assert find_weight("sam-vit-b").url == "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth"


@pytest.mark.parametrize("name", [name for name, weight in PUBLIC_WEIGHTS.items() if weight.encoder == "depth"])
def test_a_depth_file_is_named_like_its_preset_and_has_its_licence(name):
    assert PUBLIC_WEIGHTS[name].licence == PRESETS[name].licence


def test_only_the_base_and_large_files_of_v2_forbid_commercial_use():
    bound = [name for name, weight in PUBLIC_WEIGHTS.items() if not weight.commercial]
    assert bound == ["depth-anything-v2-b", "depth-anything-v2-l"]
    assert all("CC-BY-NC-4.0" in PUBLIC_WEIGHTS[name].licence for name in bound)


def test_an_unknown_name_suggests_the_nearest_and_lists_all():
    with pytest.raises(UnknownNameError) as caught:
        find_weight("depth-anything-v2-bb")
    assert caught.value.subject == "public weights"
    assert caught.value.came == "'depth-anything-v2-bb'"
    assert caught.value.cure == "did you mean 'depth-anything-v2-b'?"
    assert all(name in caught.value.expected for name in PUBLIC_WEIGHTS)


def test_a_name_like_nothing_gets_no_suggestion():
    with pytest.raises(UnknownNameError, match="pick a name from the list"):
        find_weight("xyz")


def test_a_known_checksum_finds_its_file_in_either_case():
    weight = find_weight("sam-vit-l")
    assert weight_by_sha256(weight.sha256) is weight
    assert weight_by_sha256(weight.sha256.upper()) is weight
    assert weight_by_sha256("0" * 64) is None


def test_the_segment_anything_h_file_is_refused_with_the_encoders_that_work():
    reason = refused_reason("a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e")
    assert reason is not None
    assert reason.startswith("sam_vit_h_4b8939.pth is the Segment Anything ViT-H encoder")
    assert "ViT-B and ViT-L" in reason


def test_all_six_metric_files_are_refused_for_their_head():
    metric = [refused for refused in REFUSED_WEIGHTS if "metric" in refused.file_name]
    assert len(metric) == 6
    for refused in metric:
        reason = refused_reason(refused.sha256.upper())
        assert reason is not None
        assert reason.startswith(f"{refused.file_name} is a metric model")


def test_no_fetchable_or_unknown_file_is_refused():
    assert [refused_reason(weight.sha256) for weight in PUBLIC_WEIGHTS.values()] == [None] * 8
    assert refused_reason("0" * 64) is None


def test_the_table_and_the_command_load_nothing_heavy():
    code = (
        "import sys, briges.export.public_weights, briges.export.fetch_cli\n"
        "print([name for name in ('torch', 'onnx', 'rich', 'urllib.request') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
