"""One contract, in plugin.yaml, in Python and in the library; and a table of kernels that is what compiling gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.plugin_library import harness

from briges.engines.plugin import compile_kernels, record, variants
from briges.engines.plugin.layout import INPUTS, AttentionLayout
from briges.runtime import contracts

FOLDER = Path(__file__).resolve().parents[3] / "engines" / "plugin"
TABLE = (FOLDER / "kernels.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "plugin.yaml").read_text(encoding="utf-8"))


def rows() -> list[dict[str, str]]:
    header, _, *body = [line for line in TABLE.splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in header.strip("|").split("|")]
    return [dict(zip(names, (cell.strip() for cell in line.strip("|").split("|")), strict=True)) for line in body]


def test_the_contract_is_that_of_the_python_side(contract):
    assert (contract["name"], contract["namespace"], contract["version"]) == (
        contracts.PLUGIN_NAME,
        contracts.PLUGIN_NAMESPACE,
        contracts.PLUGIN_VERSION,
    )
    assert contract["library"] == record.LIBRARY_FILE
    assert tuple(item["name"] for item in contract["inputs"]) == INPUTS
    fields = AttentionLayout.__dataclass_fields__
    assert list(contract["attributes"]) == list(fields)
    defaults = {name: item["default"] for name, item in contract["attributes"].items() if "default" in item}
    assert defaults == {name: 0 for name, field in fields.items() if field.default == 0}
    assert contract["attributes"]["head_dim"]["values"] == list(variants.HEAD_BLOCKS)
    limits = contract["limits"]
    assert limits["grid_head_dims"] == list(variants.RELATIVE_HEAD_DIMS)
    assert limits["compute_capabilities"] == list(variants.PTX_VERSIONS)
    assert contract["attributes"]["grid_height"]["range"] == f"0 to {max(variants.COLUMNS)}"


def test_its_limits_are_those_that_the_library_checks(contract):
    source = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("attention_shapes.cpp", "kernels.h"))
    constants = dict(re.findall(r"constexpr int(?:32|64)_t (k\w+) = (\d+);", source))
    attributes, limits = contract["attributes"], contract["limits"]
    assert {attributes[name]["multiple_of"] for name in attributes if name.endswith("_offset")} == {
        int(constants["kOffsetMultiple"])
    }
    assert limits["channels_multiple_of"] == int(constants["kChannelMultiple"])
    assert limits["largest_batch"] == int(constants["kMostBlocks"])
    assert attributes["num_heads"]["range"] == f"1 to {constants['kMostBlocks']}"
    assert attributes["grid_width"]["range"] == f"0 to {constants['kLongestSide']}"
    turing = variants.all_variants(("7.5",))
    assert {variant.half_type for variant in turing} == {"fp16"}
    assert limits["compute_capability_7_5"]["largest_grid_side"] == max(variant.columns for variant in turing)
    # kernels.cpp chooses by the same sides.
    assert [variants.columns_of(side, 1 if side else 0) for side in (0, 1, 16, 17, 64, 65)] == [0, 16, 16, 64, 64, None]
    assert "side == 0 ? 0 : side <= 16 ? 16 : kLongestSide" in (FOLDER / "kernels.cpp").read_text(encoding="utf-8")


def test_the_contract_is_that_of_the_library(contract, library):
    told = subprocess.run([harness("contract"), library, "names"], capture_output=True, text=True, check=True).stdout
    full_name = f"{contract['namespace']}::{contract['name']}"
    assert told.split() == ["creator", full_name, contract["version"], *contract["attributes"]]


def test_the_table_has_every_kernel_and_none_spills():
    table = rows()
    expected = [(v.compute_capability, str(v.head_dim), v.half_type, str(v.columns)) for v in variants.all_variants()]
    assert [(row["compute capability"], row["head_dim"], row["type"], row["grid up to"]) for row in table] == expected
    assert {row["spilled bytes"] for row in table} == {"0"}


def test_the_table_is_what_compiling_gives(plugin_folder):
    made_with, table_of = record.read_plugin(plugin_folder).triton, f"{compile_kernels.TRITONS[-1]}."
    if not made_with.startswith(table_of):
        pytest.skip(f"the kernels here are by Triton {made_with}, the table is of {table_of}x")
    assert (plugin_folder / record.REPORT_FILE).read_text(encoding="utf-8") == TABLE, (
        "copy build/plugin/kernels.md to engines/plugin after `make plugin`"
    )


def test_a_driver_of_jetpack_6_can_read_the_kernels_of_its_devices():
    for row in rows():
        if float(row["compute capability"]) < 10:
            assert row["PTX"] == "8.0"
    assert {row["target"] for row in rows() if row["compute capability"] == "8.7"} == {"sm_87"}


def test_matrix_instructions_and_wide_asynchronous_loads_are_used_from_ampere_on():
    for row in rows():
        ampere = float(row["compute capability"]) >= 8
        assert (int(row["matrix instructions"]) > 0) == ampere
        assert (int(row["16-byte copies"]) > 0) == ampere


def test_heads_of_48_do_not_pay_for_64():
    for capability in ("8.0", "8.6", "8.7", "8.9"):
        count = {
            row["head_dim"]: int(row["matrix instructions"])
            for row in rows()
            if (row["compute capability"], row["type"], row["grid up to"]) == (capability, "fp16", "0")
        }
        assert count["48"] * 64 == count["64"] * 48


def test_every_entry_has_the_declared_parameters_and_two_hidden_ones():
    # In a process of its own: this one interprets kernels.
    code = (
        "import json; from briges.engines.plugin.compile_kernels import HIDDEN_PARAMETERS, compile_kernel;"
        "from briges.engines.plugin.variants import Variant;"
        "made = [compile_kernel(Variant(c, 64, 'fp16', n)) for c, n in (('8.7', 16), ('9.0', 0), ('11.0', 64))];"
        "print(json.dumps([[k.parameters, HIDDEN_PARAMETERS, k.target, k.ptx] for k in made]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    for parameters, hidden, target, ptx in json.loads(done.stdout):
        pointers = 7  # query, key, value, temperature, two tables, output
        numbers = 10  # six strides, two counts, two sides
        assert (parameters, hidden) == (pointers + numbers + 2, 2), target
        declared = ptx[ptx.index(".entry attention_kernel(") : ptx.index(")", ptx.index(".entry"))]
        kinds = re.findall(r"\.param \.(\w+)", declared)
        assert kinds == ["u64"] * pointers + ["u32"] * numbers + ["u64"] * 2
        body = ptx[ptx.index("{", ptx.index(".entry")) :]
        for index in (17, 18):
            assert f"attention_kernel_param_{index}" not in body, "the hidden ones may be null: nobody reads them"
        assert "/" not in re.sub(r"//.*", "", ptx), "no path of the machine that compiled it"
