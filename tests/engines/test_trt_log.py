"""TensorRT's log: what is kept of it, and which lines tell why a build failed."""

from __future__ import annotations

import re

import pytest

from briges.engines.trt_log import BuilderLog, tail

NO_GPU = (
    "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at /_src/common/dispatch/"
    "checkMacros.cpp:250 (cudaError 35: CUDA driver version is insufficient for CUDA runtime version))"
)


@pytest.fixture
def lines():
    return []


@pytest.fixture
def log(lines):
    return BuilderLog(lines.append)


def test_lines_have_a_time_and_a_severity_and_their_breaks_are_indented(log, lines):
    log.note("ERROR", "first\nsecond")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ERROR first\n    second\n", lines[0])


def test_figures_nobody_told_are_unknown(log):
    log.note("INFO", "Total Host Persistent Memory: 80 bytes")
    assert (log.activation_bytes, log.weights_bytes) == (None, None)
    log.note("INFO", "Total Activation Memory: 8196096 bytes")
    log.note("INFO", "Total Weights Memory: 24832 bytes")
    assert (log.activation_bytes, log.weights_bytes) == (8196096, 24832)


def test_errors_are_kept_and_what_every_machine_without_a_gpu_says_is_not(log):
    log.note("WARNING", "careful")
    log.note("ERROR", NO_GPU)
    log.note("INTERNAL_ERROR", "Thread context has not been set! Using global log stream.")
    log.note("ERROR", NO_GPU.replace("35", "700"))  # an illegal address is another matter
    log.note("INTERNAL_ERROR", "broken")
    assert log.errors == [NO_GPU.replace("35", "700"), "broken"]


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("The timing cache will not be used!", True),
        ("Failed to deserialize timing cache. Returning an empty timing cache.", True),
        ("Local timing cache in use. Profiling results in this builder pass will not be stored.", False),
        ("Global timing cache in use. Profiling results in this builder pass will be stored.", False),
    ],
)
def test_a_timing_cache_that_tensorrt_puts_aside_is_noticed(log, message, refused):
    log.note("WARNING", message)
    assert log.timing_cache_refused is refused


@pytest.fixture
def written(tmp_path, lines):
    """Writes messages as the child does, and what is given as None's text raw, as a crash does."""
    path = tmp_path / "log"

    def write(*messages):
        log = BuilderLog(lines.append)
        for severity, text in messages:
            if severity is None:
                lines.append(text)
            else:
                log.note(severity, text)
        path.write_text("".join(lines))
        return path

    return write


def test_the_tail_has_what_went_wrong_and_not_what_went_well(written):
    path = written(
        ("INFO", "fine"), ("WARNING", "odd"), ("ERROR", "wrong\nat its root"), ("ERROR", NO_GPU), ("VERBOSE", "fine")
    )
    assert tail(path, 0) == ["odd", "wrong at its root"]


def test_the_last_words_of_a_crash_belong_to_the_tail(written):
    path = written(("VERBOSE", "fine"), (None, "terminate called after throwing an instance of 'std::bad_alloc'\n"))
    assert tail(path, 0) == ["terminate called after throwing an instance of 'std::bad_alloc'"]


def test_of_a_python_traceback_only_the_last_line_is_shown(written):
    trace = "Traceback (most recent call last):\n  File 'a.py', line 1\n    import b\nModuleNotFoundError: no b\n"
    assert tail(written((None, trace)), 0) == ["ModuleNotFoundError: no b"]


def test_where_nothing_went_wrong_the_tail_is_the_end(written):
    path = written(*(("VERBOSE", f"step {number}") for number in range(30)))
    assert tail(path, 0) == [f"step {number}" for number in range(20, 30)]


def test_the_tail_ignores_earlier_builds_in_the_same_log(written):
    start = written(("ERROR", "of yesterday")).stat().st_size
    assert tail(written(("ERROR", "of today")), start) == ["of today"]


def test_the_tail_of_a_huge_log_is_its_end(written):
    path = written(("ERROR", "early"), *(("ERROR", f"{number} " + "x" * 9000) for number in range(100)))
    assert [entry[:3] for entry in tail(path, 0)] == [f"{number} " for number in range(90, 100)]
    assert max(map(len, tail(path, 0))) == 400


def test_lists_in_a_message_stay_one_line(written):
    assert tail(written(("ERROR", "layers a\x1eb\x85c")), 0) == ["layers a\x1eb\x85c"]


def test_a_log_that_is_not_there_has_no_tail(tmp_path):
    assert tail(tmp_path / "log", 0) == []
