"""`briges eval` as it is typed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_briges as run_in_process_of_its_own
from support.depth_sets import write_depth, write_exact_folder, write_image
from support.in_process import run_briges
from support.stub_bundle import build_stub_bundle, own_size

from briges.benchmarks.accuracy.rows import AccuracyRow
from briges.benchmarks.records import read_rows


def _words(text: str) -> str:
    return " ".join(text.split())


def test_a_table_of_means_with_their_intervals_is_printed(stub: Path, tmp_path: Path) -> None:
    root = write_exact_folder(tmp_path / "rooms", 3)
    answer = run_briges("eval", stub, "--dataset", "folder", "--root", root)
    assert answer.code == 0, answer.err
    text = _words(answer.out)
    assert re.search(r"stub fp32 56x70, onnxruntime .* CPU: folder rooms, 3 images", text)
    assert "metric mean 95 % interval better" in text
    assert "delta1 1 1 .. 1 higher" in text
    assert re.search(r"rmse_m \S+ \S+ \.\. \S+ lower", text)
    assert max(map(len, answer.out.splitlines())) <= 80


def test_the_row_says_how_to_measure_it_again(stub: Path, tmp_path: Path) -> None:
    root, json = write_exact_folder(tmp_path / "my rooms", 2), tmp_path / "r.jsonl"
    options = ("--dataset", "folder", "--root", root, "--flip", "--depth-unit", "m", "--threads", 1)
    answer = run_briges("eval", stub, *options, "--json", json)
    assert answer.code == 0, answer.err
    (row,) = read_rows([json])
    assert isinstance(row, AccuracyRow)
    words = ("eval", str(stub), "--dataset folder", f"--root '{root}'", "--flip", "--depth-unit m", "--threads 1")
    assert row.protocol.command.startswith("briges eval ")
    assert all(word in row.protocol.command for word in words)
    assert "--limit" not in row.protocol.command


def test_images_that_were_left_out_are_named_and_fail_the_command(stub: Path, tmp_path: Path) -> None:
    root = write_exact_folder(tmp_path, 4)
    (root / "depth/0.npy").unlink()
    for name in ("1", "2"):
        write_depth(root / f"depth/{name}.npy", np.zeros((56, 70), np.float32))
    answer = run_briges("eval", stub, "--dataset", "folder", "--root", root)
    assert answer.code == 1
    assert "1 image" in answer.out
    assert "3 of 4 images were left out." in answer.err
    assert "color/1.png: no pixel of its ground truth is valid (and 1 more so)" in answer.err
    assert "has no ground truth" in answer.err


def test_random_weights_cannot_be_overlooked(tmp_path: Path) -> None:
    bundle, root = build_stub_bundle(tmp_path, random_weights=True), write_exact_folder(tmp_path / "set", 1)
    answer = run_briges("eval", bundle, "--dataset", "folder", "--root", root)
    assert answer.code == 0
    assert answer.err.count("RANDOM WEIGHTS") == 2  # before and after


def test_a_briges_model_is_evaluated_for_real(tiny_bundle: Path, tmp_path: Path) -> None:
    root = write_exact_folder(tmp_path / "set", 2)
    json = tmp_path / "r.jsonl"
    answer = run_briges("eval", tiny_bundle, "--dataset", "folder", "--root", root, "--limit", 1, "--json", json)
    assert answer.code == 0, answer.err
    (row,) = read_rows([json])
    assert isinstance(row, AccuracyRow)
    assert (len(row.images), len(row.pictures)) == (1, 1)
    assert row.subject.preset == "briges-tiny"


def test_a_sweep_prints_a_table_for_each(stub_with_temperature: Path, tmp_path: Path) -> None:
    root = write_exact_folder(tmp_path, 1)
    options = ("--dataset", "folder", "--root", root, "--temperature", "1,2,2")
    answer = run_briges("eval", stub_with_temperature, *options)
    assert answer.code == 0, answer.err
    assert answer.out.count("delta1") == 2
    assert "tau 2" in answer.out


def test_an_empty_dataset_is_an_error_before_the_bundle_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = run_briges("eval", tmp_path / "no bundle", "--dataset", "folder", "--root", tmp_path / "empty")
    assert answer.code == 1
    assert answer.err.startswith(f"Error: dataset {tmp_path / 'empty'}: no photograph among its 0 files\n")


def test_a_photograph_that_is_none_is_left_out(stub: Path, tmp_path: Path) -> None:
    root = write_exact_folder(tmp_path, 2)
    (root / "color/0.png").write_text("no picture")
    answer = run_briges("eval", stub, "--dataset", "folder", "--root", root)
    assert answer.code == 1
    assert "1 of 2 images were left out. color/0.png: image" in answer.err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--temperature", "1,zero"), "'1,zero' is no list of numbers above 0: write 1,1.5,2"),
        (("--temperature", "0"), "'0' is no list of numbers above 0"),
        (("--temperature", "nan"), "'nan' is no list of numbers above 0"),
        (("--limit", "0"), "0 is not in the range"),
        (("--dataset", "kity"), "'kity' is not one of"),
        (("--dataset", "nyu", "--depth-unit", "mm"), "--depth-unit: given with a set whose unit is known"),
        (("--temperature", "2"), "export the model with `--temperature dynamic`"),
        (("--semantic-interval", "2"), "2 for stub, which has no semantic encoder"),
    ],
)
def test_a_request_that_is_wrong_has_exit_code_2(
    stub: Path, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    write_image(tmp_path / "a.png", own_size())
    write_depth(tmp_path / "a_depth.npy", np.ones((56, 70), np.float32))
    answer = run_briges("eval", stub, "--dataset", "folder", "--root", tmp_path, *options)
    assert answer.code == 2, answer.err
    assert text in _words(answer.err)


def test_help_teaches_by_example_in_80_columns() -> None:
    done = run_in_process_of_its_own("eval", "--help")
    assert done.returncode == 0
    assert done.stdout.count("  briges eval build/") == 6
    assert max(map(len, done.stdout.splitlines())) <= 80
    for option in ("--semantic-interval", "--device", "--provider", "--threads"):
        assert option in done.stdout
    assert done.stdout.count("  --temperature") == 1
