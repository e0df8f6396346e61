"""The kernel in Triton's interpreter against the formula in float64, and against plain attention in half."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.attention import Case, draw, draw_relative, exact, interpret, plain_half, relative_error

from briges.engines.plugin.variants import HEAD_BLOCKS


def check(case: Case, **tile: int) -> None:
    """Within twice the error of plain attention in the same type; what was not written is NaN, and infinite."""
    reference = exact(case)
    allowed = 2 * relative_error(plain_half(case), reference)
    if case.query.dtype == torch.bfloat16:
        # Triton's interpreter multiplies bfloat16 as the integers that hold it: the same numbers in float32 instead.
        case = dataclasses.replace(case, query=case.query.float(), key=case.key.float(), value=case.value.float())
    error = relative_error(interpret(case, **tile), reference)
    print(f"error {error:.1e}, allowed {allowed:.1e}")
    assert error <= allowed


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("head_dim", HEAD_BLOCKS)
@pytest.mark.parametrize(("queries", "keys"), [(64, 128), (137, 70), (1, 1), (65, 1), (1, 129)])
def test_every_head_size_type_and_odd_count_is_the_formula(head_dim, dtype, queries, keys):
    check(draw(head_dim, queries, keys, batch=2, dtype=dtype))


@pytest.mark.parametrize(("count", "head_dim"), [(1369, 48), (1813, 64)])
def test_the_counts_of_the_gates_are_the_formula(count, head_dim):
    check(draw(head_dim, count, count, heads=1), queries=128)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 3.0, 100.0])
@pytest.mark.parametrize("head_dim", [24, 48])
def test_the_temperature_divides_the_logits(head_dim, temperature):
    case = dataclasses.replace(draw(head_dim, 100, 90), temperature=temperature)
    check(case)
    assert relative_error(interpret(case), exact(dataclasses.replace(case, temperature=1.0))) > 0.01


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_logits_of_ten_thousand_are_no_trouble(temperature):
    case = dataclasses.replace(draw(64, 70, 80, magnitude=35.0), temperature=temperature)
    logits = case.query[0, :, :64].double() @ case.key[0, :, :64].double().T / 8
    assert logits.abs().max() > 5e2
    grown = dataclasses.replace(case, query=case.query * 20)
    check(grown)
    assert torch.isfinite(interpret(grown)).all()


@pytest.mark.parametrize(
    ("grid", "columns"), [((14, 14), 16), ((16, 16), 16), ((9, 13), 16), ((1, 1), 16), ((20, 17), 64), ((3, 64), 64)]
)
@pytest.mark.parametrize("head_dim", [64, 80])
def test_relative_positions_are_those_of_sam(grid, columns, head_dim):
    case = draw_relative(head_dim, grid, heads=2, batch=2)
    check(case, columns=columns)
    if grid != (1, 1):
        without = dataclasses.replace(case, tables=None, grid=(0, 0))
        assert relative_error(exact(without), exact(case)) > 0.1


def test_a_temperature_leaves_the_relative_positions_alone():
    check(dataclasses.replace(draw_relative(64, (14, 14)), temperature=3.0), columns=16)


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("poisoned", ["query", "key", "value"])
def test_nan_in_gives_nan_out(poisoned):
    case = draw(48, 70, 66)
    tensor = getattr(case, poisoned).clone()
    tensor[0, 65, 50] = torch.nan  # head 1
    output = interpret(dataclasses.replace(case, **{poisoned: tensor}))
    rows = torch.isnan(output[0]).any(-1)
    assert rows[65] if poisoned == "query" else rows.all()
    assert torch.isfinite(output[0, :, :48]).all()  # head 0 has seen none of it


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("poisoned", ["temperature", "rows", "columns"])
def test_nan_in_the_temperature_or_a_table_gives_nan_everywhere(poisoned):
    case = draw_relative(64, (14, 14))
    assert case.tables is not None
    if poisoned == "temperature":
        case = dataclasses.replace(case, temperature=torch.nan)
    else:
        rows, columns = (table.clone() for table in case.tables)
        (rows if poisoned == "rows" else columns)[13] = torch.nan  # of distance 0, which every query has
        case = dataclasses.replace(case, tables=(rows, columns))
    assert torch.isnan(interpret(case, columns=16)).all()


@pytest.mark.parametrize("grid", [(14, 14), (9, 13)])
def test_the_tiles_of_turing_take_two_rows_of_a_window_at_a_time(grid):
    check(draw_relative(64, grid, heads=2), queries=32, keys=32, columns=16)
    check(draw(48, 70, 50), queries=32, keys=32)


@settings(max_examples=25, deadline=None)
@given(
    head_dim=st.sampled_from(sorted(HEAD_BLOCKS)),
    queries=st.integers(1, 150),
    keys=st.integers(1, 150),
    heads=st.integers(1, 3),
    tile=st.sampled_from([(32, 32), (64, 64), (128, 64)]),
    seed=st.integers(0, 1000),
)
def test_any_shape_is_the_formula(head_dim, queries, keys, heads, tile, seed):
    case = draw(head_dim, queries, keys, heads=heads, seed=seed)
    assert relative_error(interpret(case, queries=tile[0], keys=tile[1]), exact(case)) < 1.5e-3


@settings(max_examples=10, deadline=None)
@given(grid=st.tuples(st.integers(1, 16), st.integers(1, 16)), seed=st.integers(0, 1000))
def test_any_window_is_the_formula(grid, seed):
    case = draw_relative(64, grid, seed=seed)
    assert relative_error(interpret(case, columns=16), exact(case)) < 1.5e-3
