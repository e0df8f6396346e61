"""The four measures against what they must be, and the limits against faults that each measure exists for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from briges.runtime.agreement import LIMITS, Agreement, Limits, compare, headroom, violations, worst
from briges.runtime.records import from_object, parse_json, to_json

RANDOM = np.random.default_rng(0)
REFERENCE = (RANDOM.random((1, 1, 40, 60)) * 5 + 1).astype(np.float32)
PERFECT = Agreement(0.0, 0.0, 1.0, 0.0, 1)


def noisy(share: float) -> np.ndarray:
    return (REFERENCE + share * RANDOM.standard_normal(REFERENCE.shape)).astype(np.float32)


def test_the_reference_agrees_with_itself():
    found = compare(REFERENCE, REFERENCE)
    assert (found.max_relative_error, found.relative_l2, found.photographs) == (0.0, 0.0, 1)
    assert found.correlation == pytest.approx(1.0, abs=1e-12)
    assert found.aligned_deviation == pytest.approx(0.0, abs=1e-12)
    assert found.finite


def test_the_measures_are_those_that_numpy_computes():
    output = noisy(0.3)
    found = compare(output, REFERENCE)
    ours, theirs = output.astype(np.float64).ravel(), REFERENCE.astype(np.float64).ravel()
    slope, offset = np.polyfit(ours, theirs, 1)
    assert found.max_relative_error == pytest.approx(np.abs(ours - theirs).max() / theirs.max())
    assert found.relative_l2 == pytest.approx(math.dist(ours, theirs) / np.linalg.norm(theirs))
    assert found.correlation == pytest.approx(np.corrcoef(ours, theirs)[0, 1])
    expected = np.abs(slope * ours + offset - theirs).max() / np.ptp(theirs)
    assert found.aligned_deviation == pytest.approx(expected)


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1.0, -2.5), (0.01, 7.0)])
def test_scale_and_shift_are_an_error_but_no_deviation(scale, shift):
    found = compare((scale * REFERENCE + shift).astype(np.float32), REFERENCE)
    assert found.relative_l2 > 0.1
    assert found.aligned_deviation < 1e-4
    assert found.correlation > 0.99999


def test_depth_upside_down_correlates_negatively():
    assert compare(-REFERENCE, REFERENCE).correlation == pytest.approx(-1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_leaves_nothing_to_measure(value):
    output = REFERENCE.copy()
    output[0, 0, 7, 7] = value
    assert compare(output, REFERENCE) == Agreement(None, None, None, None, 1)
    assert not compare(output, REFERENCE).finite


@pytest.mark.parametrize("constant", [0.0, 3.5, 1e30])
def test_a_flat_depth_correlates_with_nothing(constant):
    found = compare(np.full_like(REFERENCE, constant), REFERENCE)
    assert found.correlation == 0.0
    assert 0.4 < found.aligned_deviation < 0.6
    assert violations(found, LIMITS["bf16"])


def test_outputs_so_large_that_their_squares_leave_float32_are_measured():
    found = compare(REFERENCE * np.float32(1e37), REFERENCE)
    assert found.relative_l2 == pytest.approx(1e37, rel=1e-6)
    assert found.aligned_deviation < 1e-6


def test_of_a_batch_the_worst_image_counts_undiluted_by_the_good_ones():
    pair = np.concatenate([REFERENCE, REFERENCE[..., ::-1]])
    wrong = pair.copy()
    wrong[1] += 1
    assert compare(wrong, pair) == compare(wrong[1:], pair[1:])
    assert compare(wrong[::-1], pair[::-1]) == compare(wrong[1:], pair[1:])


def test_the_worst_of_several_takes_each_measure_by_itself():
    one, other = Agreement(0.1, 0.4, 0.9, 0.3, 1), Agreement(0.2, 0.3, 0.8, 0.5, 2)
    assert worst([one, other]) == Agreement(0.2, 0.4, 0.8, 0.5, 3)
    assert worst(iter([other, PERFECT])) == Agreement(0.2, 0.3, 0.8, 0.5, 3)


def test_a_single_output_that_is_not_finite_spoils_all():
    lost = Agreement(None, None, None, None, 1)
    assert worst([PERFECT, lost, PERFECT]) == Agreement(None, None, None, None, 3)


def test_what_is_not_finite_violates_every_limit_in_one_sentence():
    for limits in LIMITS.values():
        assert violations(Agreement(None, None, None, None, 2), limits) == ["the output has NaN or infinite values"]


def test_each_measure_is_judged_by_its_own_limit_and_in_words():
    limits = Limits(max_relative_error=1e-4, relative_l2=1e-4, correlation=0.999, aligned_deviation=1e-3)
    assert violations(Agreement(1e-4, 1e-4, 0.999, 1e-3, 1), limits) == []
    assert violations(Agreement(2e-4, 0.0, 1.0, 0.0, 1), limits) == [
        "max_relative_error 2.00e-04, at most 1e-04 allowed"
    ]
    assert violations(Agreement(0.0, 3e-4, 1.0, 0.0, 1), limits) == ["relative_l2 3.00e-04, at most 1e-04 allowed"]
    assert violations(Agreement(0.0, 0.0, 0.5, 0.0, 1), limits) == ["correlation 0.500000, at least 0.999 needed"]
    assert violations(Agreement(0.0, 0.0, 1.0, 1.0, 1), limits) == ["aligned_deviation 1.00e+00, at most 1e-03 allowed"]


def test_half_precision_is_not_judged_by_its_largest_error():
    assert violations(Agreement(0.5, 0.0, 1.0, 0.0, 1), LIMITS["fp16"]) == []
    assert "max relative error" not in headroom(Agreement(0.5, 0.0, 1.0, 0.0, 1), LIMITS["fp16"])


def test_a_measure_that_is_nan_is_outside_every_limit():
    broken = Agreement(0.0, math.nan, math.nan, math.nan, 1)
    assert len(violations(broken, LIMITS["fp16"])) == 3


def test_the_limits_widen_with_the_digits_a_type_lacks():
    ordered = [LIMITS[precision] for precision in ("fp32", "fp16", "bf16")]
    assert sorted(limits.relative_l2 for limits in ordered) == [limits.relative_l2 for limits in ordered]
    assert sorted(limits.aligned_deviation for limits in ordered) == [limits.aligned_deviation for limits in ordered]
    assert sorted((limits.correlation for limits in ordered), reverse=True) == [
        limits.correlation for limits in ordered
    ]


@pytest.mark.parametrize(("precision", "share"), [("fp16", 2.0**-10), ("bf16", 2.0**-7)])
def test_the_limits_let_the_rounding_of_a_type_pass_and_strong_noise_not(precision, share):
    assert violations(compare(noisy(share), REFERENCE), LIMITS[precision]) == []
    assert violations(compare(noisy(0.5), REFERENCE), LIMITS[precision])


def test_headroom_says_how_much_of_each_limit_is_used():
    text = headroom(Agreement(5e-5, 1e-5, 0.9999991, 1e-4, 2), LIMITS["fp32"])
    assert text == (
        "max relative error 5.0e-05 (50% of 1e-04 allowed), relative L2 1.0e-05 (10% of 1e-04 allowed), "
        "aligned deviation 1.0e-04 (10% of 1e-03 allowed), correlation 0.999999"
    )
    assert headroom(Agreement(None, None, None, None, 2), LIMITS["fp32"]) == "not finite"


@pytest.mark.parametrize("agreement", [PERFECT, Agreement(None, None, None, None, 2)])
def test_an_agreement_survives_being_written(agreement):
    assert from_object(Agreement, parse_json(to_json(agreement))) == agreement
