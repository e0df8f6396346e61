"""`briges bench model`, as users call it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import run_python

from briges.benchmarks.records import read_rows
from briges.benchmarks.roofline.devices import DEVICES
from briges.benchmarks.roofline.rows import EstimateRow
from briges.runtime.main import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "model", *arguments])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_one_device_shows_every_part_and_marks_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "briges-v2-b")
    lines = out.splitlines()
    assert code == 0
    for name in ("geometry", "semantic", "gates", "head", "together"):
        (line,) = [line for line in lines if line.startswith(name)]
        assert line.endswith("ESTIMATE")
    assert "ESTIMATE: cannot be real-time (30 fps, 33.3 ms) on orin-agx-64: floor 36.3 ms" in lines
    assert any(line.startswith("- orin-agx-64: NVIDIA Jetson AGX Orin series data sheet") for line in lines)
    assert any("3.05 of 64 GB, fits" in line for line in lines)


def test_all_devices_have_a_line_a_verdict_and_a_source_each(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "briges-v2-l", "--device", "all")
    assert code == 0
    for name in DEVICES:
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
        assert line.endswith("ESTIMATE")
        assert any(f" on {name}: " in line for line in out.splitlines() if line.startswith("ESTIMATE: "))
        assert f"- {name}: NVIDIA" in out
    (small,) = [line for line in out.splitlines() if line.startswith("orin-nano-4 ")]
    assert "NO" in small.split()


def test_an_interval_shows_the_mean_beside_the_frame_that_computes_semantics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "briges-v2-b", "--semantic-interval", "4", "--size", "518x686", "--batch", "2")
    assert "ESTIMATE: briges-v2-b, 518x686, fp16, batch 2, semantics 1/4, on orin-agx-64" in out
    assert any(line.startswith("mean ") for line in out.splitlines())


def test_no_line_of_a_table_is_wider_than_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "briges-v2-l", "--device", "all", "--precision", "fp32", "--batch", "64")
    tables = out.partition("\nESTIMATE: cannot")[0].splitlines()
    assert max(map(len, tables)) <= 80


def test_json_appends_rows_that_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "estimates.jsonl"
    for size in ("518x518", "518x686"):
        assert (
            run(capsys, "briges-v2-b", "--device", "thor", "--device", "h200", "--size", size, "--json", str(out))[0]
            == 0
        )
    rows = read_rows([out])
    assert all(isinstance(row, EstimateRow) for row in rows)
    assert [(row.device, row.size) for row in rows if isinstance(row, EstimateRow)] == [
        ("thor", "518x518"),
        ("h200", "518x518"),
        ("thor", "518x686"),
        ("h200", "518x686"),
    ]
    first = rows[0]
    assert isinstance(first, EstimateRow)
    assert [part.name for part in first.components] == ["geometry", "semantic", "gates", "head"]
    assert sum(part.gflop for part in first.components) == pytest.approx(1547.4, rel=1e-3)
    assert first.efficiencies == (0.6, 0.25)
    assert first.fits
    assert len(first.sources) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["briges-v3-b"], "preset: 'briges-v3-b'"),
        (["briges-v2-b", "--device", "orin-nx-61"], "did you mean 'orin-nx-16'?"),
        (["briges-v2-b", "--height", "520"], "use 518 instead of 520"),
        (["briges-v2-b", "--size", "518"], "'518' is not HEIGHTxWIDTH"),
        (["briges-v2-b", "--size", "518x518", "--height", "518"], "given beside --size"),
        (["briges-v2-b", "--device", "t4", "--precision", "bf16"], "asked for t4"),
        (["briges-v2-b", "--device", "all", "--device", "t4"], "all beside others"),
        (["depth-anything-v2-s", "--semantic-interval", "2"], "which has no semantic encoder"),
        (["briges-v2-b", "--fps", "0"], "--fps"),
        (["briges-v2-b", "--batch", "0"], "--batch"),
    ],
)
def test_a_wrong_request_is_told_in_words(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_all_leaves_out_what_cannot_do_the_precision(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "briges-v2-b", "--device", "all", "--precision", "bf16")
    assert code == 0
    assert not any(line.startswith("t4 ") for line in out.splitlines())


def test_an_estimate_loads_neither_torch_nor_a_backend() -> None:
    code = (
        "import sys\nfrom briges.runtime.main import cli\n"
        "cli.main(['bench', 'model', 'briges-v2-b'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'cv2', 'tensorrt') if name in sys.modules])"
    )
    assert run_python(code).stdout.strip().endswith("[]")
