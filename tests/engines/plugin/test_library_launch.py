"""What the library asks of the CUDA driver: a fake one writes it down, since there is no GPU here."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.plugin_library import VARIANTS

from briges.engines.plugin.variants import Variant

MIB = 1 << 20
# Where launch.cpp puts the inputs in their order, and the output.
QUERY, KEY, VALUE, TEMPERATURE, ROWS, COLUMNS = (MIB * (index + 1) for index in range(6))
OUTPUT = 100 * MIB
STREAM = 77
PLAIN = "num_heads=2,head_dim=48"
SHAPES = "1x7x96,1x7x96,1x7x96,1"
MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
LOADING = ("cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute", "cuModuleUnload")


def launched(launch, attributes: str, shapes: str, half_type: str = "fp16", **fake: str | int) -> dict:
    """The one launch of a plugin that an engine made."""
    words = f"{shapes} {half_type}"
    calls, logged = launch(f"create {attributes}", "attach", f"change {words}", f"run {words}", **fake)
    assert logged == []
    (found,) = named(calls, "cuLaunchKernel")
    assert (found["stream"], found["extra"]) == (STREAM, 0)
    assert named(calls, "enqueued") == [{"call": "enqueued", "code": 0, "allocations": 0}]
    return found


def named(calls: list[dict], *names: str) -> list[dict]:
    return [call for call in calls if call["call"] in names]


@pytest.mark.parametrize(
    ("attributes", "shapes", "variant", "addresses", "numbers", "heads_and_batch"),
    [
        pytest.param(
            "num_heads=3,head_dim=48,key_offset=144,value_offset=288",
            "1x260x432,1x260x432,1x260x432,1",
            Variant("8.0", 48, "fp16", 0),
            [QUERY, KEY + 288, VALUE + 576, TEMPERATURE, QUERY, QUERY, OUTPUT],
            [260 * 432, 432, 260 * 432, 432, 260 * 432, 432, 260, 260, 0, 0],
            [3, 1],
            id="packed qkv",
        ),
        pytest.param(
            "num_heads=2,head_dim=64,value_offset=128",
            "2x129x128,2x33x256,2x33x256,1",
            Variant("8.0", 64, "fp16", 0),
            [QUERY, KEY, VALUE + 256, TEMPERATURE, QUERY, QUERY, OUTPUT],
            [129 * 128, 128, 33 * 256, 256, 33 * 256, 256, 129, 33, 0, 0],
            [2, 2],
            id="cross-attention, key and value packed, batch of 2",
        ),
        pytest.param(
            "num_heads=2,head_dim=64,query_offset=8,key_offset=128,value_offset=256,grid_height=14,grid_width=13",
            "25x182x400,25x182x400,25x182x400,1,27x64,25x64",
            Variant("8.0", 64, "fp16", 16),
            [QUERY + 16, KEY + 256, VALUE + 512, TEMPERATURE, ROWS, COLUMNS, OUTPUT],
            [182 * 400, 400, 182 * 400, 400, 182 * 400, 400, 182, 182, 14, 13],
            [2, 25],
            id="relative positions in windows",
        ),
        pytest.param(
            "num_heads=1,head_dim=64,key_offset=64,value_offset=128,grid_height=17,grid_width=64",
            "1x1088x192,1x1088x192,1x1088x192,1,33x64,127x64",
            Variant("8.0", 64, "fp16", 64),
            [QUERY, KEY + 128, VALUE + 256, TEMPERATURE, ROWS, COLUMNS, OUTPUT],
            [1088 * 192, 192, 1088 * 192, 192, 1088 * 192, 192, 1088, 1088, 17, 64],
            [1, 1],
            id="relative positions, global",
        ),
        pytest.param(
            "num_heads=1,head_dim=80",
            "1x1x80,1x1x96,1x1x112,1",
            Variant("8.0", 80, "fp16", 0),
            [QUERY, KEY, VALUE, TEMPERATURE, QUERY, QUERY, OUTPUT],
            [80, 80, 96, 96, 112, 112, 1, 1, 0, 0],
            [1, 1],
            id="one token, three widths",
        ),
    ],
)
def test_the_kernel_gets_every_parameter_in_its_place(
    launch, attributes, shapes, variant, addresses, numbers, heads_and_batch
):
    found = launched(launch, attributes, shapes)
    assert found["parameters"] == [*addresses, *numbers, 0, 0]
    queries = numbers[6]
    assert found["blocks"] == [-(-queries // variant.tile.queries), *heads_and_batch]
    assert found["threads"] == [32 * variant.tile.warps, 1, 1]


@pytest.mark.parametrize(
    ("capability", "half_type", "variant", "target"),
    [
        (80, "fp16", Variant("8.0", 48, "fp16", 0), "sm_80"),
        (80, "bf16", Variant("8.0", 48, "bf16", 0), "sm_80"),
        (75, "fp16", Variant("7.5", 48, "fp16", 0), "sm_75"),
        (90, "fp16", Variant("9.0", 48, "fp16", 0), "sm_90a"),
        (87, "fp16", Variant("8.0", 48, "fp16", 0), "sm_80"),
        (120, "fp16", Variant("8.0", 48, "fp16", 0), "sm_80"),
        (90, "bf16", Variant("8.0", 48, "bf16", 0), "sm_80"),
    ],
)
def test_the_kernel_is_the_devices_own_or_else_that_of_8_0(launch, library, capability, half_type, variant, target):
    words = f"{SHAPES} {half_type}"
    calls, logged = launch(f"create {PLAIN}", f"change {words}", f"run {words}", capability=capability)
    assert logged == []
    (loaded,) = named(calls, "cuModuleLoadData")
    assert (loaded["target"], loaded["entry"]) == (target, 1)
    shared = shared_bytes(library, variant)
    (found,) = named(calls, "cuLaunchKernel")
    assert found["shared"] == shared
    assert found["threads"][0] == 32 * variant.tile.warps
    assert [(call["attribute"], call["value"]) for call in named(calls, "cuFuncSetAttribute")] == (
        [(MAX_DYNAMIC_SHARED, shared)] if shared > 48 * 1024 else []
    )


def shared_bytes(library: Path, variant: Variant) -> int:
    """As the compiler said, in the table the library was compiled from."""
    rows = (library.parent / "kernels.inc").read_text().splitlines()
    return int(rows[VARIANTS.index(variant)].split(", ")[6])


def test_a_kernel_above_48_kib_of_shared_memory_asks_for_it(launch, library):
    variant = Variant("8.0", 80, "fp16", 0)
    shared = shared_bytes(library, variant)
    assert shared > 48 * 1024
    words = "1x7x80,1x7x80,1x7x80,1 fp16"
    calls, _ = launch("create num_heads=1,head_dim=80", f"change {words}")
    assert [(call["attribute"], call["value"]) for call in named(calls, "cuFuncSetAttribute")] == [
        (MAX_DYNAMIC_SHARED, shared)
    ]


def test_running_calls_the_driver_once_and_allocates_nothing(launch):
    words = f"{SHAPES} fp16"
    calls, logged = launch(f"create {PLAIN}", "attach", f"change {words}", f"run {words}", f"run {words}")
    order = [call["call"] for call in calls]
    first = order.index("enqueue")
    once = ["enqueue", "cuLaunchKernel", "enqueued"]
    assert order[first : first + 7] == [*once, *once, "ending"]
    assert [call["allocations"] for call in named(calls, "enqueued")] == [0, 0]
    assert logged == []


def test_the_count_of_allocations_counts(launch):
    """That of a failing launch, whose message needs some."""
    words = f"{SHAPES} fp16"
    calls, _ = launch(f"create {PLAIN}", f"change {words}", f"run {words}", failure="cuLaunchKernel")
    assert named(calls, "enqueued")[0]["allocations"] > 0


def test_many_plugins_load_their_kernel_once_and_the_last_unloads_it(launch):
    words = f"{SHAPES} fp16"
    steps = (f"create {PLAIN}", "attach", f"change {words}", f"run {words}", f"change {words}", f"run {words}")
    calls, logged = launch(*steps, plugins=24)
    assert logged == []
    assert len(named(calls, "cuLaunchKernel")) == 48
    assert [call["call"] for call in named(calls, *LOADING)].count("cuModuleLoadData") == 1
    ending = calls.index({"call": "ending"})
    assert not named(calls[:ending], "cuModuleUnload")
    assert [call["call"] for call in calls[ending + 1 :]] == ["cuCtxPushCurrent", "cuModuleUnload", "cuCtxPopCurrent"]
    assert calls[ending + 2]["module"] == 1


def test_a_change_of_shape_keeps_the_kernel_and_is_run(launch):
    first, second = "1x7x96,1x7x96,1x7x96,1 fp16", "2x300x96,2x9x96,2x9x96,1 fp16"
    calls, _ = launch(f"create {PLAIN}", f"change {first}", f"run {first}", f"change {second}", f"run {second}")
    assert len(named(calls, "cuModuleLoadData")) == 1
    assert [call["blocks"] for call in named(calls, "cuLaunchKernel")] == [[1, 2, 1], [3, 2, 2]]


def test_a_change_of_type_loads_the_other_kernel_and_unloads_the_first(launch):
    calls, _ = launch(f"create {PLAIN}", f"change {SHAPES} fp16", f"change {SHAPES} bf16", f"run {SHAPES} bf16")
    assert [call["module"] for call in named(calls, "cuModuleLoadData", "cuModuleUnload")] == [1, 2, 1, 2]
    assert named(calls, "cuLaunchKernel")[0]["module"] == 2


def test_each_context_has_a_module_of_its_own_and_unloads_it_there(launch):
    words = f"{SHAPES} fp16"
    steps = ("context 100", f"change {words}", "context 200", "attach", f"change {words}", f"run {words}")
    calls, _ = launch(f"create {PLAIN}", *steps)
    assert len(named(calls, "cuModuleLoadData")) == 2
    assert named(calls, "cuLaunchKernel")[0]["module"] == 2
    assert [call["context"] for call in named(calls, "cuCtxPushCurrent")] == [100, 200]


def test_a_copy_for_another_execution_context_uses_the_kernel_that_is_loaded(launch):
    words = f"{SHAPES} fp16"
    calls, _ = launch(f"create {PLAIN}", f"change {words}", "attach", f"change {words}", f"run {words}")
    assert len(named(calls, "cuModuleLoadData")) == 1
    assert len(named(calls, "cuModuleUnload")) == 1
