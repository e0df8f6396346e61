"""Readings arrive while the block runs, and the tool ends with it. The tools are stand-ins; the processes are real."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
from pathlib import Path

import pytest
from support.build_process import has_ended
from support.device_tools import (
    NVIDIA_SMI_LINES,
    add_nvidia_smi,
    add_tool,
    compile_gpu_driver,
    output_of,
    put_on_path,
    start_python,
    tool_pid,
    wait_until,
    write_jetson,
    write_tree,
)

from briges.benchmarks.rows import Reading
from briges.benchmarks.telemetry import Telemetry, Tool, choose_tool, collect, energy_mj, nvidia_smi_tool, telemetry

BUS = "0000:01:00.0"
POWER = "power.draw of nvidia-smi"
ORIN_LINE = "RAM 9000/30588MB (lfb 4x4MB) GR3D_FREQ 99%@[1300,1300] tj@60.5C VDD_IN 15000mW/14000mW"

IN_PROCESS = """
import sys, time
from briges.benchmarks.telemetry import telemetry

with telemetry(0, interval_s=0.25) as collected:
    deadline = time.monotonic() + 10
    while len(collected.readings(0.0)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    print(*(reading.clock_mhz for reading in collected.readings(0.0)), collected.power, flush=True)
    if "stay" in sys.argv:
        time.sleep(60)
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is on PATH."""
    put_on_path(tmp_path / "tools", monkeypatch)
    return tmp_path / "tools"


def nvidia_smi() -> Tool:
    """The tool that a machine with one GPU has."""
    tool = nvidia_smi_tool(BUS)
    assert tool is not None
    return tool


def watts(*powers: float | None, every_s: float = 1.0) -> list[Reading]:
    """Readings of these powers."""
    return [Reading(number * every_s, None, None, None, power, None, None) for number, power in enumerate(powers)]


def test_each_line_is_a_reading_at_the_time_it_came(tools: Path) -> None:
    add_nvidia_smi(tools)
    clock = itertools.count(100.0, 0.5)
    with collect(nvidia_smi(), clock=clock.__next__) as collected:
        wait_until(lambda: len(collected.readings(0.0)) == len(NVIDIA_SMI_LINES))

    assert collected.readings(100.0) == (
        Reading(0.0, 1980.0, 2619.0, 34.0, 121.38, 0.97, 1357 << 20),
        Reading(0.5, 1965.0, 2619.0, 35.0, 240.10, 1.0, 1357 << 20),
        Reading(1.0, 1755.0, 2619.0, 36.0, 310.02, 0.99, 1361 << 20),
    )
    assert collected.power == POWER


def test_readings_from_before_the_timing_are_left_out(tools: Path) -> None:
    add_nvidia_smi(tools)
    with collect(nvidia_smi(), clock=itertools.count(100.0).__next__) as collected:
        wait_until(lambda: len(collected.readings(0.0)) == 3)

    assert [(reading.at_s, reading.clock_mhz) for reading in collected.readings(100.5)] == [
        (0.5, 1965.0),
        (1.5, 1755.0),
    ]


def test_lines_that_are_no_reading_are_passed_over(tools: Path) -> None:
    noise = ["\udcff\udcfe,,,", "[N/A], [N/A], [N/A], [N/A], [N/A], [N/A]", "", "Unknown Error"]
    add_nvidia_smi(tools, lines=[])
    (tools / "lines").write_bytes("\n".join([*noise, *NVIDIA_SMI_LINES, ""]).encode(errors="surrogateescape"))
    with collect(nvidia_smi()) as collected:
        wait_until(lambda: len(collected.readings(0.0)) == 3)


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
def test_the_tool_is_ended_however_the_block_is_left(tools: Path, failure: type[BaseException] | None) -> None:
    add_nvidia_smi(tools)
    with contextlib.suppress(ValueError, KeyboardInterrupt), collect(nvidia_smi()):
        pid = tool_pid(tools)
        assert not has_ended(pid)
        if failure is not None:
            raise failure

    assert has_ended(pid)


def test_a_tool_that_says_nothing_is_ended_too(tools: Path) -> None:
    add_nvidia_smi(tools, lines=[])
    with collect(nvidia_smi()) as collected:
        pid = tool_pid(tools)

    assert has_ended(pid)
    assert collected.readings(0.0) == ()
    assert collected.power is None


def test_a_tool_that_dies_only_ends_the_readings(tools: Path) -> None:
    add_tool(tools, "nvidia-smi", f"echo '{NVIDIA_SMI_LINES[0]}'; echo Killed >&2; exit 9")
    with collect(nvidia_smi()) as collected:
        wait_until(lambda: collected.readings(0.0))

    assert len(collected.readings(0.0)) == 1


def test_a_tool_that_cannot_be_started_gives_no_readings(tmp_path: Path) -> None:
    missing = Tool([str(tmp_path / "nowhere")], lambda line, at_s: None, lambda line: None)
    with collect(missing) as collected:
        pass

    assert collected.readings(0.0) == ()


def test_a_gpu_of_this_process_is_found_and_watched(tools: Path, tmp_path: Path) -> None:
    add_nvidia_smi(tools)

    said = output_of(IN_PROCESS, library=compile_gpu_driver(tmp_path / "driver"))
    assert said == f"1980.0 1965.0 1755.0 {POWER}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_the_tool(tools: Path, tmp_path: Path) -> None:
    add_nvidia_smi(tools)
    with start_python(IN_PROCESS, "stay", library=compile_gpu_driver(tmp_path / "driver")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pid = tool_pid(tools)
        assert not has_ended(pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert has_ended(pid)


def test_the_interval_is_given_in_milliseconds(tools: Path) -> None:
    add_nvidia_smi(tools)
    tool = nvidia_smi_tool(BUS, interval_s=0.2)

    assert tool is not None
    assert tool.command[-1] == "--loop-ms=200"


def test_a_jetson_is_watched_by_tegrastats(tools: Path, tmp_path: Path) -> None:
    add_tool(tools, "tegrastats", f"echo '{ORIN_LINE}'; exec sleep 60")
    tool = choose_tool(0, root=write_jetson(tmp_path / "jetson"))
    assert tool is not None
    with collect(tool) as collected:
        wait_until(lambda: collected.readings(0.0))

    (reading,) = collected.readings(0.0)
    assert (reading.clock_mhz, reading.power_w, reading.temperature_c) == (1300.0, 15.0, 60.5)
    assert collected.power == "VDD_IN of tegrastats"


@pytest.mark.usefixtures("tools")
def test_a_jetson_without_tegrastats_has_no_tool(tmp_path: Path) -> None:
    assert choose_tool(0, root=write_jetson(tmp_path / "jetson")) is None


def test_without_a_gpu_the_processor_is_read(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone0"
    root = write_tree(
        tmp_path,
        {
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "3400000\n",
            f"{zone}/type": "x86_pkg_temp\n",
            f"{zone}/temp": "51000\n",
        },
    )
    with collect(None, interval_s=0.01, clock=itertools.count(5.0).__next__, root=root) as collected:
        wait_until(lambda: len(collected.readings(5.0)) >= 2)

    assert collected.readings(5.0)[:2] == (
        Reading(0.0, 3400.0, None, 51.0, None, None, None),
        Reading(1.0, 3400.0, None, 51.0, None, None, None),
    )
    assert collected.power is None


def test_a_processor_that_tells_nothing_gives_no_readings(tmp_path: Path) -> None:
    with collect(None, root=tmp_path) as collected:
        pass

    assert collected.readings(0.0) == ()


def test_this_machines_processor_can_be_watched() -> None:
    with telemetry(None) as collected:
        pass

    assert isinstance(collected, Telemetry)
    assert all(reading.power_w is None for reading in collected.readings(0.0))


@pytest.mark.usefixtures("tools")
def test_a_gpu_that_nothing_tells_of_is_not_taken_for_the_processor() -> None:
    with telemetry(99) as collected:
        pass

    assert collected.readings(0.0) == ()


def test_energy_is_the_area_below_the_power() -> None:
    # 10 to 20 W in the first second, 20 to 30 W in the second, 30 W for another half: 15 + 25 + 15 J.
    assert energy_mj(watts(10.0, 20.0, 30.0), 2.5) == pytest.approx(55_000)


def test_energy_before_the_first_reading_has_its_power() -> None:
    late = [Reading(1.0, None, None, None, 10.0, None, None), Reading(3.0, None, None, None, 20.0, None, None)]

    assert energy_mj(late, 4.0) == pytest.approx(10_000 + 30_000 + 20_000)


def test_readings_without_power_and_after_the_timing_are_passed_over() -> None:
    assert energy_mj(watts(10.0, None, 10.0, 500.0), 2.0) == pytest.approx(20_000)


@pytest.mark.parametrize(
    ("readings", "seconds"),
    [
        ([], 1.0),
        (watts(None, None, None), 2.0),
        (watts(10.0), 2.0),
        (watts(10.0, 10.0), 2.1),  # less than half of the time: the tool died
        (watts(10.0, 10.0), 0.0),
    ],
)
def test_energy_that_is_not_told_is_none(readings: list[Reading], seconds: float) -> None:
    assert energy_mj(readings, seconds) is None
