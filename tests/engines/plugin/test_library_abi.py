"""The library's face to TensorRT: what it exports and needs, what it answers and refuses, and how it says so."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys

import pytest
from support.plugin_library import harness

from briges.runtime import contracts

ATTRIBUTES = ("num_heads", "head_dim", "query_offset", "key_offset", "value_offset", "grid_height", "grid_width")
PLAIN = "num_heads=2,head_dim=48"
GRID = "num_heads=1,head_dim=64,grid_height=3,grid_width=5"
GRID_SHAPES = "1x15x64,1x15x64,1x15x64,1,5x64,9x64"
NATIVE = "Build with --attention native"
EXPORT = "Export the model again with `briges export`"


@pytest.fixture(scope="module")
def drive(library):
    """Runs steps of contract.cpp; returns its lines."""
    program = harness("contract")

    def run(*steps: str, version: int = 101401) -> list[str]:
        environment = {**os.environ, "PRETENDED_VERSION": str(version)}
        done = subprocess.run([program, library, *steps], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def errors(lines: list[str]) -> list[str]:
    return [line.removeprefix("log 1 TemperatureScaledAttention: ") for line in lines if line.startswith("log ")]


def test_two_symbols_are_exported_and_no_other(library):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    assert sorted(line.split()[-1] for line in listed.splitlines()) == ["getCreators", "setLoggerFinder"]


def test_nothing_of_nvidia_and_no_cpp_library_is_linked(library):
    listed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"NEEDED.*\[(.+)\]", listed)
    assert "libc.so.6" in needed
    assert not [name for name in needed if re.search("cuda|nvinfer|tensorrt|stdc|gcc", name)]


@pytest.fixture
def no_driver() -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    pytest.skip("this machine has an NVIDIA driver")


@pytest.mark.usefixtures("no_driver")
def test_it_loads_without_a_driver(library):
    assert ctypes.CDLL(str(library)).getCreators


def test_the_creator_has_the_name_version_namespace_and_attributes_of_the_contract(drive):
    (line,) = drive("names")
    full_name = f"{contracts.PLUGIN_NAMESPACE}::{contracts.PLUGIN_NAME}"
    assert line.split() == ["creator", full_name, contracts.PLUGIN_VERSION, *ATTRIBUTES]


def test_attributes_that_are_absent_have_their_defaults_and_unknown_ones_are_ignored(drive):
    lines = drive(f"create {PLAIN},plugin_version=7,f:plugin_namespace=1", "describe")
    assert lines[0] == "create plugin"
    values = dict(zip(ATTRIBUTES, (2, 48, 0, 0, 0, 0, 0), strict=True))
    assert lines[3:] == [f"field {name} type 5 length 1 value {value}" for name, value in values.items()]
    assert lines[1] == "plugin briges::TemperatureScaledAttention 1 outputs 1 workspace 0 tactics 0"


def test_a_clone_and_what_an_engine_stores_are_the_same_plugin(drive):
    given = "num_heads=2,head_dim=64,query_offset=8,key_offset=128,value_offset=256,grid_height=7,grid_width=9"
    lines = drive(f"create {given}", "describe", "clone", "describe", "reload", "describe", "clone", "describe")
    described = lines[1:10]
    assert lines[1:] == described * 4
    assert described[1] == "timing " + given.replace(",", ";") + ";"
    for pair in given.split(","):
        name, value = pair.split("=")
        assert f"field {name} type 5 length 1 value {value}" in described


def test_timing_entries_differ_where_attributes_do(drive):
    lines = drive(f"create {PLAIN}", "describe", f"create {PLAIN},key_offset=96", "describe")
    assert len({line for line in lines if line.startswith("timing ")}) == 2


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ("fp32,fp32,fp32,fp32", f"query is float32; expected float16 or bfloat16. {NATIVE}"),
        ("fp16,bf16,fp16,fp32", f"key is bfloat16; expected float16, as query is. {EXPORT}"),
        ("bf16,bf16,fp32,fp32", f"value is float32; expected bfloat16, as query is. {EXPORT}"),
        ("fp16,fp16,fp16,fp16", f"temperature is float16; expected float32. {EXPORT}"),
        ("fp16,fp16,fp16,fp32,fp32,fp16", f"rel_pos_h is float32; expected float16, as query is. {EXPORT}"),
        ("fp16,fp16,fp16,fp32,fp16,bf16", f"rel_pos_w is bfloat16; expected float16, as query is. {EXPORT}"),
    ],
)
def test_a_wrong_type_is_refused_in_one_message(drive, types, message):
    lines = drive(f"create {GRID}", f"types {types}")
    assert errors(lines) == [message]
    assert lines[-1].startswith("types 1 "), "a failure, in TensorRT's convention"


@pytest.mark.parametrize(("half_type", "number"), [("fp16", 1), ("bf16", 7)])
def test_tensors_are_linear_and_of_the_type_of_the_query_but_for_the_temperature(drive, half_type, number):
    types = ",".join([half_type] * 3 + ["fp32"] + [half_type] * 2)
    lines = drive(f"create {GRID}", f"formats {half_type} 6", f"types {types}")
    half, query, temperature = f" {number}/0", " 1/0 7/0", " 0/0"
    asked = [query, half, half, temperature, half, half, half]
    assert lines[1:] == [*(f"formats {pos}:{of}" for pos, of in enumerate(asked)), f"types 0 {number}"]


@pytest.mark.parametrize(
    ("attributes", "shapes", "output"),
    [
        (f"{PLAIN},key_offset=96,value_offset=192", "2x7x288,2x7x288,2x7x288,1", "2 7 96"),
        (f"{PLAIN},value_offset=96", "2x7x96,2x11x192,2x11x192,1", "2 7 96"),
        (PLAIN, "-1x-1x96,-1x-1x96,-1x7x96,1", "-1 -1 96"),
        (GRID, GRID_SHAPES, "1 15 64"),
        (GRID, "-1x-1x-1,-1x-1x-1,-1x-1x-1,-1,-1x-1,-1x-1", "-1 -1 64"),
    ],
)
def test_the_output_has_the_querys_tokens_and_the_heads_channels(drive, attributes, shapes, output):
    assert drive(f"create {attributes}", f"shape {shapes}")[1:] == [f"shape 0 {output}"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("num_heads=2,head_dim=40", f"head_dim is 40; expected 24, 48, 64 or 80. {NATIVE}"),
        ("num_heads=2", f"head_dim is 0; expected 24, 48, 64 or 80. {NATIVE}"),
        ("head_dim=48", f"num_heads is 0; expected 1 to 65535. {EXPORT}"),
        ("num_heads=-3,head_dim=48", f"num_heads is -3; expected 1 to 65535. {EXPORT}"),
        (f"{PLAIN},query_offset=4", f"query_offset is 4; expected a multiple of 8, 0 or more. {NATIVE}"),
        (f"{PLAIN},key_offset=-8", f"key_offset is -8; expected a multiple of 8, 0 or more. {NATIVE}"),
        (f"{PLAIN},value_offset=100", f"value_offset is 100; expected a multiple of 8, 0 or more. {NATIVE}"),
        (
            "num_heads=2,head_dim=48,grid_height=3,grid_width=5",
            f"head_dim is 48 with a grid of 3 x 5; expected 64. {NATIVE}",
        ),
        (
            "num_heads=2,head_dim=64,grid_height=65,grid_width=2",
            f"grid_height x grid_width is 65 x 2; expected sides from 1 to 64, or neither. {NATIVE}",
        ),
        (
            "num_heads=2,head_dim=64,grid_width=2",
            f"grid_height x grid_width is 0 x 2; expected sides from 1 to 64, or neither. {NATIVE}",
        ),
        (
            "f:num_heads=2,head_dim=48",
            f"attribute num_heads has type 1 and length 1; expected one INT32. {EXPORT}",
        ),
        (
            "num_heads=2,2:head_dim=48",
            f"attribute head_dim has type 5 and length 2; expected one INT32. {EXPORT}",
        ),
    ],
)
def test_attributes_that_no_kernel_serves_are_refused_in_one_message(drive, attributes, message):
    lines = drive(f"create {attributes}")
    assert errors(lines) == [message]
    assert lines[-1] == "create nothing"


REFUSED_SHAPES = [
    (
        PLAIN,
        "1x7x96,1x7x96,1x7x96",
        "it has 3 inputs; expected query, key, value and temperature, or also rel_pos_h and rel_pos_w",
    ),
    (
        PLAIN,
        "1x7x96,1x7x96,1x7x96,1,5x48",
        "it has 5 inputs; expected query, key, value and temperature, or also rel_pos_h and rel_pos_w",
    ),
    (
        PLAIN,
        "1x7x96,1x7x96,1x7x96,1,5x48,9x48",
        "it has rel_pos_h and rel_pos_w, but no grid; expected grid_height and grid_width",
    ),
    (
        GRID,
        "1x15x64,1x15x64,1x15x64,1",
        "it has a grid of 3 x 5, but 4 inputs; expected rel_pos_h and rel_pos_w as well",
    ),
    (PLAIN, "7x96,1x7x96,1x7x96,1", "query has shape [7, 96]; expected 3 dimensions"),
    (PLAIN, "1x7x96,1x7x96,1x1x7x96,1", "value has shape [1, 1, 7, 96]; expected 3 dimensions"),
    (PLAIN, "1x7x96,1x9x96,1x8x96,1", "value has 8 tokens; expected key's 9"),
    (PLAIN, "2x7x96,1x7x96,1x7x96,1", "key has a batch of 1; expected query's 2"),
    (PLAIN, "2x7x96,2x7x96,3x7x96,1", "value has a batch of 3; expected query's 2"),
    (
        "num_heads=16,head_dim=48",
        "1x7x700,1x7x768,1x7x768,1",
        "16 heads of 48 channels at offset 0 do not fit in 700 channels of query; expected 768 or more",
    ),
    (
        f"{PLAIN},key_offset=96,value_offset=192",
        "1x7x272,1x7x272,1x7x272,1",
        "2 heads of 48 channels at offset 192 do not fit in 272 channels of value; expected 288 or more",
    ),
    (
        f"{PLAIN},query_offset=2147483640",
        "1x7x96,1x7x96,1x7x96,1",
        "2 heads of 48 channels at offset 2147483640 do not fit in 96 channels of query; expected 2147483736 or more",
    ),
    (PLAIN, "1x7x96,1x7x104,1x7x104,1", "key has 104 channels; expected a multiple of 16", NATIVE),
    (
        PLAIN,
        "1x7x96,1x0x96,1x0x96,1",
        "key has shape [1, 0, 96]; expected at least one token",
        "Check the input sizes",
    ),
    (
        PLAIN,
        "1x0x96,1x7x96,1x7x96,1",
        "query has shape [1, 0, 96]; expected at least one token",
        "Check the input sizes",
    ),
    (PLAIN, "65536x7x96,1x7x96,1x7x96,1", "query has a batch of 65536; expected 65535 at most", "Use a smaller batch"),
    (
        PLAIN,
        "1x7x96,1x22369622x96,1x22369622x96,1",
        "key has 2147483712 elements for each image; expected less than 2^31",
        "Use a smaller input size",
    ),
    (PLAIN, "1x7x96,1x7x96,1x7x96,2", "temperature has shape [2]; expected [1]"),
    (PLAIN, "1x7x96,1x7x96,1x7x96,1x1", "temperature has shape [1, 1]; expected [1]"),
    (GRID, "1x14x64,1x15x64,1x15x64,1,5x64,9x64", "query has 14 tokens; expected those of the grid, 3 x 5"),
    (GRID, "1x15x64,1x16x64,1x16x64,1,5x64,9x64", "key has 16 tokens; expected those of the grid, 3 x 5"),
    (GRID, "1x15x64,1x15x64,1x15x64,1,9x64,5x64", "rel_pos_h has shape [9, 64]; expected [5, 64]"),
    (GRID, "1x15x64,1x15x64,1x15x64,1,5x64,9x32", "rel_pos_w has shape [9, 32]; expected [9, 64]"),
    (GRID, "1x15x64,1x15x64,1x15x64,1,5x64,9", "rel_pos_w has shape [9]; expected [9, 64]"),
]


@pytest.mark.parametrize("step", ["shape {}", "configure {} fp16", "change {} fp16"])
@pytest.mark.parametrize(("attributes", "shapes", "message", "cure"), [(*row, EXPORT)[:4] for row in REFUSED_SHAPES])
def test_shapes_that_no_kernel_serves_are_refused_in_one_message(drive, step, attributes, shapes, message, cure):
    lines = drive(f"create {attributes}", step.format(shapes))
    assert errors(lines) == [f"{message}. {cure}"]
    assert lines[-1] == f"{step.split()[0]} 1"


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_every_bound_of_a_profile_is_checked_and_the_first_that_fails_is_told(drive, bad):
    bounds = ["1x7x96,1x7x96,1x7x96,1"] * 3
    assert drive(f"create {PLAIN}", f"configure {';'.join(bounds)} fp16")[1:] == ["configure 0"]
    bounds[bad] = "1x7x96,1x0x96,1x0x96,1"
    lines = drive(f"create {PLAIN}", f"configure {';'.join(bounds)} fp16")
    assert errors(lines) == ["key has shape [1, 0, 96]; expected at least one token. Check the input sizes"]


@pytest.mark.usefixtures("no_driver")
def test_without_a_driver_an_engine_is_built_but_not_run(drive):
    shapes = "1x7x96,1x7x96,1x7x96,1 fp16"
    lines = drive(f"create {PLAIN}", f"configure {shapes}", f"change {shapes}")
    (error,) = errors(lines)
    assert error.startswith("no CUDA driver: libcuda.so.1: cannot open shared object file")
    assert error.endswith("Install the NVIDIA driver")
    assert [line for line in lines if not line.startswith("log")] == ["create plugin", "configure 0", "change 1"]


@pytest.mark.parametrize("version", [100001, 101601, 110000, 110401, 10400, 10500, 10701])
def test_the_loggers_of_every_tensorrt_are_understood(drive, version):
    """TensorRT 11 and TensorRT-RTX 1.5 moved the functions of ILogger and of ILoggerFinder."""
    lines = drive("create num_heads=2,head_dim=40", version=version)
    assert lines == [
        f"log 1 TemperatureScaledAttention: head_dim is 40; expected 24, 48, 64 or 80. {NATIVE}",
        "create nothing",
    ]


def test_where_tensorrt_is_unknown_the_message_goes_to_stderr(library):
    script = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.setLoggerFinder(ctypes.c_void_p(0x10))  # never touched: what called has no getInferLibVersion
library.getCreators.restype = ctypes.POINTER(ctypes.c_void_p)
creator = ctypes.c_void_p(library.getCreators(ctypes.byref(ctypes.c_int()))[0])
slots = ctypes.cast(ctypes.cast(creator, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_void_p))
create = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)(slots[4])
assert create(creator, b"node", None, 0) is None
"""
    done = subprocess.run([sys.executable, "-c", script, library], capture_output=True, text=True, check=True)
    assert done.stderr == f"TemperatureScaledAttention: num_heads is 0; expected 1 to 65535. {EXPORT}\n"
