"""`briges bench latency` as users run it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import MAIN, environment
from support.in_process import run_briges
from support.stub_bundle import build_stub_bundle

from briges.benchmarks.records import latency_rows, read_rows

QUICK = ("--warmup-s", "0", "--duration-s", "0.05", "--threads", "1")


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"), random_weights=True)


def test_it_prints_every_figure_and_appends_the_row(stub: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    found = run_briges("bench", "latency", stub, *QUICK, "--frame-size", "56x70", "--json", out)
    assert found.code == 0, found.err
    for text in ("p50 ", "p99 ", "jitter", "images/s", "host overhead", "preprocess ", "allocated by Python", "cores"):
        assert text in found.out
    assert "against fp32" in found.out
    assert "from a decoded uint8 photograph in host memory" in " ".join(found.out.split())
    assert found.err.count("RANDOM WEIGHTS") == 2  # as it is loaded, and under the figures
    assert f"appended to {out}: stub fp32 56x70" in found.err
    (row,) = latency_rows(read_rows([out]))
    assert row.method.command.startswith("briges bench latency ")
    assert row.method.frame_size == "56x70"


def test_several_bundles_end_in_a_summary(stub: Path) -> None:
    found = run_briges("bench", "latency", stub, stub, *QUICK)
    assert found.code == 0
    assert "Summary" in found.out
    assert found.out.count("host overhead") == 2


def test_a_camera_tells_its_missed_deadlines(stub: Path) -> None:
    found = run_briges("bench", "latency", stub, *QUICK, "--rate", "200", "--min-iterations", "5")
    assert found.code == 0
    assert "200 frames/s: " in found.out
    assert "deadlines missed" in found.out


def interrupt(*arguments: str | Path) -> tuple[int, str, str]:
    """Press Ctrl-C half a second after `briges bench latency` began to time: exit code, stdout and stderr."""
    command = [sys.executable, "-u", "-c", MAIN, "bench", "latency", *map(str, arguments)]
    with subprocess.Popen(
        [*command, "--warmup-s", "0", "--duration-s", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("timing for"):
                break
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    return process.returncode, printed, said


def test_ctrl_c_keeps_what_was_measured_and_says_so(stub: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    code, printed, said = interrupt(stub, "--json", out)
    assert code == 1
    assert "INTERRUPTED" in printed
    assert "Interrupted: what was finished is kept" in said
    assert "Traceback" not in said
    (row,) = latency_rows(read_rows([out]))
    assert row.interrupted
    assert row.latency.n == len(row.samples_ms) > 0


def test_ctrl_c_keeps_the_requests_of_every_stream(stub: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    code, _, said = interrupt(stub, "--streams", "2", "--json", out)
    assert (code, "Traceback" in said) == (1, False)
    (row,) = latency_rows(read_rows([out]))
    assert row.interrupted
    # Two at once: some request was due before the one that was due before it was answered.
    ends = [due_s + ms / 1000 for due_s, ms in zip(row.started_s, row.samples_ms, strict=True)]
    assert any(due_s < end_s for due_s, end_s in zip(row.started_s[1:], ends, strict=False))


def test_a_damaged_bundle_is_one_clear_error_and_what_came_before_is_kept(stub: Path, tmp_path: Path) -> None:
    damaged, out = tmp_path / "damaged", tmp_path / "results.jsonl"
    shutil.copytree(stub, damaged)
    (damaged / "model.onnx").write_bytes(b"altered")
    found = run_briges("bench", "latency", stub, damaged, *QUICK, "--json", out)
    assert found.code == 1
    assert "model.onnx has sha256" in found.err
    assert len(read_rows([out])) == 1
    assert "host overhead" in found.out


def test_a_place_that_cannot_take_results_is_refused_before_anything_is_timed(stub: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter one\nchapter two, without a newline at its end")
    for place, problem in ((tmp_path / "thesis.txt", "does not hold results"), (tmp_path, "Is a directory")):
        found = run_briges("bench", "latency", stub, *QUICK, "--json", place)
        assert found.code == 1
        assert problem in found.err
        assert "timing" not in found.err
    assert (tmp_path / "thesis.txt").read_text().endswith("at its end")


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--frames", "absent"], 1, "input absent: does not exist"),
        (["--frame-size", "large"], 2, "is not HEIGHTxWIDTH in pixels"),
        (["--frame-size", "0x0"], 1, "--frame-size 0x0"),
        (["--frame-size", "99999x99999"], 1, "--frame-size 99999x99999"),
        (["--rate", "inf"], 2, "--rate: inf"),
        (["--duration-s", "nan"], 2, "--duration-s: nan"),
        (["--soak", "1e-300"], 2, "--soak: "),
        (["--cuda-graph"], 2, "--cuda-graph: a bundle of ONNX Runtime"),
        (["--checkpoint", "absent.pth"], 2, "--checkpoint: given without a backend of PyTorch"),
        (["--backend", "torch-eager", "--provider", "cuda"], 2, "--provider cuda: given for PyTorch"),
        (["--rate", "30", "--soak", "1"], 2, "--soak and --rate: given together"),
        (["--no-copies"], 2, "--no-copies: a bundle of ONNX Runtime"),
        (["--lock-clocks"], 2, "--lock-clocks: a run on the CPU"),
        (["--semantic-interval", "4"], 2, "semantic_interval"),
        (["--temperature", "2"], 2, "temperature"),
        (["--duration-s", "0"], 2, "--duration-s"),
        (["--backend", "jax"], 2, "--backend"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_error(stub: Path, arguments: list[str], code: int, problem: str) -> None:
    found = run_briges("bench", "latency", stub, *QUICK, *arguments)
    assert (found.code, problem in found.err) == (code, True), found.err


def test_without_torch_its_backends_name_the_extra(stub: Path, tmp_path: Path) -> None:
    from support.commands import hide_modules

    hidden = hide_modules(tmp_path / "hidden", ["torch"])
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "bench", "latency", str(stub), "--backend", "torch-eager"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(hidden),
    )
    assert done.returncode == 1
    assert "--backend torch-eager: not installed: torch" in done.stderr
    assert "pip install 'briges-trt[export]'" in done.stderr


def test_rows_hold_no_path_but_the_command_that_was_typed(stub: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    assert run_briges("bench", "latency", stub, *QUICK, "--json", out).code == 0
    row = json.loads(out.read_text())
    row["method"]["command"] = ""
    assert str(stub.parent) not in json.dumps(row)
