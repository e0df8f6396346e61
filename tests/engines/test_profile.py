"""The order of suspicion: what overflows is certain, then whoever adds most error of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.toy_network import ABSORPTION, OVERFLOW, PARTS, Fault, write_toy

from briges.engines.blocks import parts_of
from briges.engines.onnx_graph import load_graph
from briges.engines.profile import Profile, profile
from briges.runtime.photographs import photograph_feeds, read_references


def seen_in(folder: Path, **faults: Fault) -> Profile:
    spec = write_toy(folder, "fp16", **faults)
    model = load_graph(folder / spec.graphs[0].file)
    return profile(model, folder, parts_of(model, PARTS), photograph_feeds(spec, spec.graphs[0]), "fp32")


def test_an_overflow_is_certain_however_well_hidden_behind_an_earlier_one(tmp_path):
    seen = seen_in(tmp_path / "toy", attn0=OVERFLOW, mlp1=OVERFLOW)
    assert seen.suspects[: seen.certain] == ("geometry.blocks.0.attn", "geometry.blocks.1.mlp")


def test_a_tensor_that_overflows_between_parts_concerns_both(tmp_path):
    seen = seen_in(tmp_path / "toy", stream=OVERFLOW)
    assert seen.suspects[: seen.certain] == ("geometry.blocks.0", "geometry.blocks.1")


def test_lost_digits_put_their_part_first_and_those_that_inherit_them_behind(tmp_path):
    seen = seen_in(tmp_path / "toy", mlp0=ABSORPTION)
    assert (seen.certain, seen.suspects[0]) == (0, "geometry.blocks.0.mlp")
    # Every part that computes in half is somewhere in the order, once.
    assert sorted(seen.suspects) == sorted({"model", *PARTS})


def test_the_depths_are_those_of_the_half_and_of_the_wide_network(tmp_path):
    seen = seen_in(tmp_path / "toy", mlp1=OVERFLOW)
    spec = write_toy(tmp_path / "again", "fp16", mlp1=OVERFLOW)
    references = read_references(tmp_path / "again", spec, spec.graphs[0])
    for half, wide, reference in zip(seen.half_depths, seen.wide_depths, references, strict=True):
        assert not np.isfinite(half).any()
        assert np.abs(wide - reference).max() < 2e-3 * np.ptp(reference)
