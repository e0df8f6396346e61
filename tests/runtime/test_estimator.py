"""The class users meet, on a stub engine whose depth is the luminance of the picture it is given."""

from __future__ import annotations

import gc
import logging
import shutil
import tracemalloc
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from support.manifests import replace_file
from support.photographs import ASPECTS, photograph
from support.stub_bundle import assert_close, build_stub_bundle, luminance, own_size

from briges.runtime import DepthEstimator, DepthResult
from briges.runtime.errors import BackendError, BundleError, ImageError, UsageError
from briges.runtime.manifest import read_manifest


def test_the_depth_is_that_of_the_engine(estimator):
    assert_close(estimator(own_size()).depth, luminance(own_size()))


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_depth_has_the_size_of_the_image(estimator, aspect):
    image = photograph(aspect)
    depth = estimator(image).depth
    assert depth.dtype == np.float32
    assert depth.shape == image.shape[:2]
    assert depth.flags.owndata
    assert depth.flags.c_contiguous
    assert np.corrcoef(depth.ravel(), luminance(image).ravel())[0, 1] > 0.7  # the picture, and the right way round


def test_a_second_image_leaves_no_trace_of_the_first(estimator):
    for seed in range(3):
        assert_close(estimator(own_size(seed)).depth, luminance(own_size(seed)))
    first = estimator(photograph("kitti")).depth
    estimator(np.full((100, 100, 3), 255, np.uint8))
    assert (estimator(photograph("kitti")).depth == first).all()


def test_the_stages_take_time_and_add_up(estimator):
    timings = estimator(photograph("large")).timings
    stages = (timings.preprocess_ms, timings.inference_ms, timings.postprocess_ms)
    assert all(0 < stage < 60_000 for stage in stages)
    assert timings.total_ms == pytest.approx(sum(stages))


def test_a_bundle_with_trained_weights_is_opened_without_a_word(stub, caplog):
    with caplog.at_level(logging.DEBUG, "briges"), DepthEstimator(stub) as estimator:
        assert estimator.notices == estimator(own_size()).notices == ()
    assert not caplog.records


def test_random_weights_are_told_at_the_opening_and_with_each_result(tmp_path, caplog):
    bundle = build_stub_bundle(tmp_path, random_weights=True)
    with DepthEstimator(bundle) as estimator:
        notice = "RANDOM WEIGHTS (seed 7): latency is representative, the depth is meaningless"
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("WARNING", f"{bundle}: {notice}")
        ]
        assert estimator.notices == estimator(own_size()).notices == (notice,)


def test_the_path_may_be_text_and_the_backend_says_its_name(stub):
    with DepthEstimator(str(stub)) as estimator:
        assert estimator.path == stub
        assert estimator.backend_name.startswith("onnxruntime ")
        assert estimator.manifest == read_manifest(stub)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        DepthEstimator(tmp_path)


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image[:, ::-1],
        lambda image: image[::-1],
        lambda image: image[:, :, ::-1],
        lambda image: image[::2, ::3],
        lambda image: image.transpose(1, 0, 2),
        lambda image: image[10:200, 20:300],
        np.asfortranarray,
    ],
    ids=["mirrored", "upside-down", "bgr", "strided", "transposed", "cropped", "fortran"],
)
def test_views_that_are_not_contiguous_are_taken(estimator, view):
    image = view(photograph("square"))
    assert not image.flags.c_contiguous
    assert (estimator(image).depth == estimator(np.ascontiguousarray(image)).depth).all()


def test_a_read_only_image_is_taken_and_left_as_it_is(estimator):
    image = own_size()
    image.flags.writeable = False
    assert_close(estimator(image).depth, luminance(image))
    assert (image == own_size()).all()


@pytest.mark.parametrize("image", [np.zeros((1, 1, 3), np.uint8), np.zeros((50, 50, 3)), "photo.jpg"])
def test_an_unusable_image_is_refused_with_and_without_out(estimator, image):
    for out in (None, np.empty((50, 50), np.float32)):
        with pytest.raises(ImageError, match=r"^image: "):
            estimator(image, out=out)
    with pytest.raises(ImageError, match=r"^image: "):
        estimator.batch([own_size(), image])


def test_a_given_array_receives_the_depth(estimator):
    image = photograph("4:3")
    out = np.full(image.shape[:2], np.nan, np.float32)
    result = estimator(image, out=out)
    assert result.depth is out
    assert (out == estimator(image).depth).all()


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "came"),
    [
        (np.empty((70, 56), np.float32), "float32 [70, 56]"),
        (np.empty((56, 70, 1), np.float32), "float32 [56, 70, 1]"),
        (np.empty((56, 70), np.float64), "float64 [56, 70]"),
        (np.empty((56, 140), np.float32)[:, ::2], "an array that is not contiguous"),
        (read_only(np.empty((56, 70), np.float32)), "a read-only array"),
        ([0.0], "list"),
    ],
)
def test_an_array_that_cannot_receive_the_depth_is_refused(estimator, out, came):
    with pytest.raises(ImageError) as caught:
        estimator(own_size(), out=out)
    assert str(caught.value) == (
        f"out: {came}\n"
        "  expected: a writable, C-contiguous float32 array [56, 70]\n"
        "  cure: allocate it with numpy.empty(image.shape[:2], numpy.float32)"
    )


def closed_refusal(estimator: DepthEstimator) -> str:
    with pytest.raises(BackendError) as caught:
        estimator(own_size())
    return str(caught.value)


def test_a_closed_estimator_says_so_and_may_be_closed_again(stub):
    with DepthEstimator(stub) as estimator:
        assert isinstance(estimator(own_size()), DepthResult)
    assert closed_refusal(estimator) == (
        "estimator: it is closed\n"
        "  expected: an open DepthEstimator\n"
        "  cure: call it inside its `with` block, or make a new one"
    )
    estimator.close()
    with pytest.raises(BackendError, match="it is closed"):
        estimator.batch([own_size()])
    assert estimator.batch([]) == []


def test_an_error_in_the_with_block_closes_the_estimator_and_is_not_hidden(stub):
    estimator = DepthEstimator(stub)
    with pytest.raises(ZeroDivisionError), estimator:
        raise ZeroDivisionError
    assert "it is closed" in closed_refusal(estimator)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_depth_that_is_not_finite_is_never_returned(tmp_path, stub, value):
    graph = onnx.load(stub / "model.onnx")
    broken = np.array([[1.0], [value], [1.0]], np.float32)
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, graph.graph.initializer[0].name))
    bundle = tmp_path / "engine"
    shutil.copytree(stub, bundle)
    replace_file(bundle, "model.onnx", graph.SerializeToString())
    with DepthEstimator(bundle) as estimator, pytest.raises(BackendError) as caught:
        estimator(own_size())
    assert (caught.value.came, caught.value.expected) == ("NaN or infinite depth", "finite inverse depth")


def test_nothing_is_kept_or_allocated_anew_per_frame(estimator):
    image = photograph("large")
    out = np.empty(image.shape[:2], np.float32)

    def memory_after(calls: int) -> int:
        for _ in range(calls):
            estimator(image, out=out)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        memory_after(5)
        before = memory_after(1)
        assert memory_after(40) - before < 40 * 1000  # the smallest array of a call has 11,760 bytes
        tracemalloc.reset_peak()
        before = memory_after(1)
        with_out = tracemalloc.get_traced_memory()[1] - before
        estimator(image)
        without_out = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert without_out >= out.nbytes  # NumPy's arrays are seen, so the next line means something
    assert with_out < out.nbytes / 20


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fit": "strech"}, "fit: 'strech'\n  expected: one of pad, stretch\n  cure: did you mean 'stretch'?"),
        ({"provider": "gpu"}, "provider: 'gpu'\n  expected: one of auto, cpu, cuda"),
        ({"threads": 0}, "threads: 0\n  expected: 1 to "),
        ({"threads": 100_000}, "threads: 100000\n  expected: 1 to "),
    ],
)
def test_an_option_that_does_not_exist_is_refused(tmp_path, options, told):
    with pytest.raises(UsageError) as caught:
        DepthEstimator(tmp_path, **options)
    assert str(caught.value).startswith(told)
