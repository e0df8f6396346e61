"""What a stand-in for nvidia-smi prints, as the real one does, is read; what it does not tell is None."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.device_tools import add_nvidia_smi, add_tool, compile_gpu_driver, put_on_path

from briges.benchmarks.nvidia_smi import find_bus_id, name_power, number, parse_reading, query
from briges.benchmarks.rows import Reading

BUS = "0000:01:00.0"


def test_the_drivers_number_of_a_gpu_gives_its_address(tmp_path: Path) -> None:
    library = str(compile_gpu_driver(tmp_path) / "libcuda.so.1")

    assert [find_bus_id(index, library) for index in (0, 1, 2)] == [BUS, "0000:02:00.0", None]


def test_without_a_driver_there_is_no_address() -> None:
    assert find_bus_id(0, "libcuda-of-nobody.so.1") is None


def test_a_line_is_a_reading() -> None:
    line = "1755, 2619, 36, 310.02, 99, 1361\n"

    assert parse_reading(line, 2.5) == Reading(2.5, 1755.0, 2619.0, 36.0, 310.02, 0.99, 1361 << 20)
    assert name_power(line) == "power.draw of nvidia-smi"


@pytest.mark.parametrize("nothing", ["[N/A]", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]", "N/A", ""])
def test_what_is_not_told_is_none(nothing: str) -> None:
    line = f"2405, {nothing}, 41, {nothing}, 0, {nothing}"

    assert parse_reading(line, 0.0) == Reading(0.0, 2405.0, None, 41.0, None, 0.0, None)
    assert name_power(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "[N/A], [N/A], [N/A], [N/A], [N/A], [N/A]",
        "1755, 2619, 36",
        "1755, 2619, 36, 310.02, 99, 1361, 7",
        "Unable to determine the device handle for GPU0000:01:00.0: Unknown Error",
        "\0\ufffd,,,,,",
    ],
)
def test_another_line_is_no_reading(line: str) -> None:
    assert parse_reading(line, 0.0) is None
    assert name_power(line) is None


def test_a_query_leaves_out_what_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_nvidia_smi(tmp_path, answer="580.65.06, [N/A], 1980")
    put_on_path(tmp_path, monkeypatch)
    told = query(BUS, ("driver_version", "power.limit", "clocks.max.sm"))

    assert told == {"driver_version": "580.65.06", "clocks.max.sm": "1980"}
    assert [number(told, field) for field in told] == [None, 1980.0]


def test_a_query_names_the_gpu_and_the_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tool(tmp_path, "nvidia-smi", 'test "$1 $2" = "-i 0000:01:00.0" && echo "$3" | tr , +')
    put_on_path(tmp_path, monkeypatch)

    assert query(BUS, ["pstate"]) == {"pstate": "--query-gpu=pstate"}


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found; exit 6", "printf '\\377\\376,,'"])
def test_a_tool_that_fails_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    add_tool(tmp_path, "nvidia-smi", script)
    put_on_path(tmp_path, monkeypatch)

    assert query(BUS, ["clocks.sm", "clocks.mem"]) == {}


def test_without_the_tool_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert query(BUS, ["clocks.sm"]) == {}


def test_a_file_of_its_name_that_is_no_program_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_bytes(b"\0")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert query(BUS, ["clocks.sm"]) == {}
