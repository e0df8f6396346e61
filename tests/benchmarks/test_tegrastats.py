"""Lines that tegrastats wrote on boards and releases, as their users posted them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.device_tools import add_tool, put_on_path, write_jetson

from briges.benchmarks.rows import Reading
from briges.benchmarks.tegrastats import name_power, parse_reading, tegrastats_command

# JetPack 6.1, idle: the GPU is off.
AGX_ORIN_IDLE = (
    "04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) CPU [0%@729,0%@729,0%@729,0%@729,"
    "0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729] EMC_FREQ 0%@2133 GR3D_FREQ 0%@[0,0] VIC_FREQ 729 APE 174 "
    "CV0@-256C CPU@44.562C Tboard@32C SOC2@40.093C Tdiode@33C SOC0@41.093C CV1@-256C GPU@-256C tj@44.343C SOC1@41.25C "
    "CV2@-256C VDD_GPU_SOC 2340mW/2340mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW"
)
AGX_ORIN = (
    "RAM 9000/30588MB (lfb 4x4MB) CPU [100%@2201,off] EMC_FREQ 1%@2133 GR3D_FREQ 14%@[407,611] VIC_FREQ 115 "
    "NVDLA0_FREQ @1600 APE 174 CV0@73.625C CPU@77.281C Tboard@62C GPU@69.125C tj@77.281C VDD_GPU_SOC 3150mW/2971mW "
    "VDD_CPU_CV 14312mW/12415mW VIN_SYS_5V0 4968mW/5048mW VDDQ_VDD2_1V8AO 1091mW/1091mW"
)
ORIN_NANO = (
    "09-19-2026 13:33:02 RAM 2850/7486MB (lfb 33x4MB) CPU [2%@729,0%@729,0%@729,0%@729,1%@729,0%@729] EMC_FREQ 5%@665 "
    "GR3D_FREQ 0% cpu@46.0C soc2@44.8C gpu@46.7C tj@47.0C VDD_IN 4123mW/4123mW VDD_CPU_GPU_CV 520mW/520mW VDD_SOC "
    "1200mW/1200mW"
)
# JetPack 7: neither GR3D_FREQ nor EMC_FREQ.
THOR = (
    "07-31-2026 14:45:55 RAM 86905/125772MB (lfb 368x4MB) CPU [12%@972,10%@972,off,33%@1890] cpu@39.812C tj@39.906C "
    "soc012@38.812C gpu@39.906C soc345@38.625C VDD_GPU 3561mW/3561mW VDD_CPU_SOC_MSS 7910mW/7910mW VIN_SYS_5V0 "
    "7620mW/7620mW VIN 26686mW/26686mW"
)
NANO = (
    "RAM 1766/3964MB (lfb 197x4MB) SWAP 0/2048MB (cached 0MB) CPU [24%@1224,15%@1224] EMC_FREQ 0% GR3D_FREQ 3%@921 "
    "PLL@21C CPU@25C PMIC@100C GPU@23.5C AO@33.5C thermal@24.5C POM_5V_IN 2545/2547 POM_5V_GPU 0/0 POM_5V_CPU 549/529"
)
AGX_ORIN_POWER = "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0 of tegrastats"


@pytest.mark.parametrize(
    ("line", "reading", "power"),
    [
        (AGX_ORIN_IDLE, Reading(1.5, 0.0, 2133.0, 44.343, 6.755, 0.0, 4321 << 20), AGX_ORIN_POWER),
        (AGX_ORIN, Reading(1.5, 611.0, 2133.0, 69.125, 22.430, 0.14, 9000 << 20), AGX_ORIN_POWER),
        (ORIN_NANO, Reading(1.5, None, 665.0, 46.7, 4.123, 0.0, 2850 << 20), "VDD_IN of tegrastats"),
        (
            THOR,
            Reading(1.5, None, None, 39.906, 19.091, None, 86905 << 20),
            "VDD_GPU + VDD_CPU_SOC_MSS + VIN_SYS_5V0 of tegrastats",
        ),
        (NANO, Reading(1.5, 921.0, None, 23.5, 2.545, 0.03, 1766 << 20), "POM_5V_IN of tegrastats"),
    ],
    ids=["AGX Orin, idle", "AGX Orin", "Orin Nano", "Thor", "Nano"],
)
def test_a_line_of_each_board_is_read(tmp_path: Path, line: str, reading: Reading, power: str) -> None:
    assert parse_reading(line, 1.5, tmp_path) == reading
    assert name_power(line) == power


def test_a_clock_that_the_line_lacks_comes_from_devfreq(tmp_path: Path) -> None:
    reading = parse_reading(ORIN_NANO, 0.0, write_jetson(tmp_path))

    assert reading is not None
    assert reading.clock_mhz == 1300.5


def test_a_line_without_a_known_rail_tells_no_power(tmp_path: Path) -> None:
    line = "RAM 1/2MB (lfb 1x4MB) CPU [0%@1190] EMC_FREQ 0% GR3D_FREQ 0% GPU 463/463 CPU 618/618 SOC 2936/2936"
    reading = parse_reading(line, 0.0, tmp_path)

    assert reading == Reading(0.0, None, None, None, None, 0.0, 1 << 20)
    assert name_power(line) is None


@pytest.mark.parametrize("line", ["", "\n", "tegrastats: command failed\n", "RAM ?/?MB VDD_IN 1mW/1mW", "\0\ufffd,,,"])
def test_a_line_that_is_none_of_its_lines_is_no_reading(line: str) -> None:
    assert parse_reading(line, 0.0) is None


def test_the_interval_is_given_in_milliseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tool(tmp_path, "tegrastats", "")
    put_on_path(tmp_path, monkeypatch)

    assert tegrastats_command(0.25) == [str(tmp_path / "tegrastats"), "--interval", "250"]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert tegrastats_command(0.25) is None
