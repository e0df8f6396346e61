from __future__ import annotations

import os
from pathlib import Path

from briges.runtime.compatibility import this_platform
from briges.runtime.facts import read_host, read_memory
from briges.runtime.gpu import read_driver

MEMINFO = """\
MemTotal:       24681376 kB
MemFree:        19000000 kB
MemAvailable:   23000000 kB
HugePages_Total:       0
Active(anon):       1000 kB
"""


def test_memory_is_what_there_is_and_what_programs_can_have(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)

    assert read_memory(tmp_path / "meminfo") == (24681376 << 10, 23000000 << 10)


def test_a_system_that_does_not_tell_its_memory_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("nothing here")

    assert read_memory(tmp_path / "absent") == (None, None)
    assert read_memory(tmp_path / "empty") == (None, None)


def test_the_memory_of_this_machine_is_the_kernel_s() -> None:
    total, free = read_memory()

    if total is not None and free is not None:
        assert abs(total - os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) < total // 50
        assert 0 < free <= total


def test_the_host_of_a_bundle_is_this_machine() -> None:
    host, driver = read_host(), read_driver()

    assert host.platform == this_platform()
    assert host.driver == driver.cuda
    assert host.device == (driver.devices[0].name if driver.devices else None)
