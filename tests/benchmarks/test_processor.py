"""The processor of this machine, and of others whose files were written down."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.device_tools import write_tree

from briges.benchmarks.processor import (
    count_cores,
    is_clock_locked,
    read_clock_mhz,
    read_governor,
    read_name,
    read_temperature_c,
)

CPU = "sys/devices/system/cpu"


@pytest.mark.skipif(sys.platform != "linux", reason="the figures are Linux's")
def test_this_machine_tells_its_processor():
    assert count_cores() == len(os.sched_getaffinity(0))
    assert read_name().strip()
    clock = read_clock_mhz()
    assert clock is None or 100 < clock < 10_000


def test_a_machine_that_tells_nothing_has_the_name_of_its_architecture(tmp_path: Path) -> None:
    assert read_name(tmp_path)
    assert read_clock_mhz(tmp_path) is None
    assert is_clock_locked(tmp_path) is None
    assert read_governor(tmp_path) is None
    assert read_temperature_c(tmp_path) is None


def test_the_clock_is_that_of_the_fastest_core(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "800000\n",
            f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "3400000\n",
            "proc/cpuinfo": "cpu MHz\t\t: 9999.000\n",
        },
    )

    assert read_clock_mhz(tmp_path) == 3400


def test_without_cpufreq_the_clock_is_that_of_cpuinfo(tmp_path: Path) -> None:
    write_tree(
        tmp_path, {"proc/cpuinfo": "model name\t: A CPU @ 2.60GHz\ncpu MHz\t\t: 2596.120\ncpu MHz\t\t: 1200.5\n"}
    )

    assert read_clock_mhz(tmp_path) == 2596.12
    assert read_name(tmp_path) == "A CPU @ 2.60GHz"


@pytest.mark.parametrize(("highest", "locked"), [("3400000", False), ("800000", True)])
def test_a_clock_is_locked_where_its_lowest_is_its_highest(tmp_path: Path, highest: str, locked: bool) -> None:
    folder = f"{CPU}/cpu0/cpufreq"
    write_tree(tmp_path, {f"{folder}/scaling_min_freq": "800000\n", f"{folder}/scaling_max_freq": f"{highest}\n"})

    assert is_clock_locked(tmp_path) is locked


def test_governors_that_differ_between_cores_are_all_named(tmp_path: Path) -> None:
    names = {"cpu0": "schedutil", "cpu1": "performance", "cpu10": "schedutil"}
    write_tree(tmp_path, {f"{CPU}/{cpu}/cpufreq/scaling_governor": f"{name}\n" for cpu, name in names.items()})

    assert read_governor(tmp_path) == "performance, schedutil"


@pytest.mark.parametrize("kind", ["x86_pkg_temp", "cpu-thermal", "CPU-therm", "cpu_thermal"])
def test_the_temperature_is_that_of_the_processors_zone(tmp_path: Path, kind: str) -> None:
    zones = "sys/class/thermal"
    write_tree(
        tmp_path,
        {
            f"{zones}/thermal_zone0/type": "acpitz\n",
            f"{zones}/thermal_zone0/temp": "99000\n",
            f"{zones}/thermal_zone1/type": f"{kind}\n",
            f"{zones}/thermal_zone1/temp": "51500\n",
        },
    )

    assert read_temperature_c(tmp_path) == 51.5


def test_without_such_a_zone_the_hottest_sensor_of_the_processors_chip_tells(tmp_path: Path) -> None:
    chips = "sys/class/hwmon"
    write_tree(
        tmp_path,
        {
            f"{chips}/hwmon0/name": "nvme\n",
            f"{chips}/hwmon0/temp1_input": "80000\n",
            f"{chips}/hwmon1/name": "k10temp\n",
            f"{chips}/hwmon1/temp1_input": "45250\n",
            f"{chips}/hwmon1/temp3_input": "47000\n",
        },
    )

    assert read_temperature_c(tmp_path) == 47


def test_a_sensor_that_answers_nonsense_is_none(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone0"
    write_tree(tmp_path, {f"{zone}/type": "cpu-thermal\n", f"{zone}/temp": "\n"})

    assert read_temperature_c(tmp_path) is None
