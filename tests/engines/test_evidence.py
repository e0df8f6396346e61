"""What a failed gate leaves behind: the whole record, the outputs, and pictures on which the fault can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.manifests import GOOD

from briges.engines.evidence import strip, write_evidence
from briges.engines.gate import Check, verdict
from briges.runtime.agreement import compare
from briges.runtime.errors import OutputError
from briges.runtime.manifest import Gate, GateRow
from briges.runtime.records import from_object, parse_json

REFERENCE = np.linspace(0.0, 4.0, 12, dtype=np.float32).reshape(1, 1, 3, 4)


def failed_check(output: np.ndarray) -> Check:
    row = GateRow("engine", "3x4", compare(output, REFERENCE), None)
    return Check(row, (output,), (REFERENCE,))


def test_numbers_outputs_and_pictures_are_written(tmp_path):
    broken = REFERENCE.copy()
    broken[..., 1, 2] = np.nan
    checks = [failed_check(broken), Check(GateRow("engine", "5x6", None, "no GPU"), (), ())]
    gate = verdict("fp16", checks)
    files = write_evidence(tmp_path / "evidence", gate, checks)
    names = ["engine-3x4-0.npy", "engine-3x4-0.png", "gate.json"]
    assert sorted(path.name for path in (tmp_path / "evidence").iterdir()) == names
    assert sorted(path.name for path in files) == names
    assert from_object(Gate, parse_json((tmp_path / "evidence" / "gate.json").read_bytes())) == gate
    assert np.array_equal(np.load(tmp_path / "evidence" / "engine-3x4-0.npy"), broken, equal_nan=True)
    with Image.open(tmp_path / "evidence" / "engine-3x4-0.png") as picture:
        assert picture.size == (3 * 4, 3)


def test_a_strip_shows_reference_output_and_difference():
    output = REFERENCE.copy()
    output[..., 0, 1] += 1.0
    picture = strip(output, REFERENCE)
    assert (picture.shape, picture.dtype) == ((3, 12, 3), np.uint8)
    assert np.array_equal(picture[..., 0], picture[..., 2])
    reference, drawn, difference = (picture[:, start : start + 4, 0] for start in (0, 4, 8))
    assert (reference.min(), reference.max()) == (0, 255)
    assert np.argwhere(reference != drawn).tolist() == [[0, 1]]
    assert np.argwhere(difference).tolist() == [[0, 1]]
    assert difference.max() == 255


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_red(value):
    output = REFERENCE.copy()
    output[..., 2, 3] = value
    picture = strip(output, REFERENCE)
    red = np.all(picture == (255, 0, 0), axis=-1)
    assert np.argwhere(red).tolist() == [[2, 7], [2, 11]]  # in the output, and in the difference


def test_the_images_of_a_batch_are_stacked():
    batch = np.concatenate([REFERENCE, REFERENCE / 2])
    picture = strip(batch, batch)
    assert picture.shape == (6, 12, 3)
    assert picture[3:, :4].max() == 127
    assert picture[:, 8:].max() == 0


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    gate = Gate(verdict("fp16", [failed_check(REFERENCE)]).limits, (GateRow("onnx", "3x4", GOOD, None),), ("why",))
    with pytest.raises(OutputError, match="cannot be written"):
        write_evidence(tmp_path / "file" / "evidence", gate, [failed_check(REFERENCE)])
    assert (tmp_path / "file").read_text() == "mine"
