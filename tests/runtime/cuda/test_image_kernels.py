"""The packaged image kernels: unaltered, loadable by any driver we support, and asked for with what they take."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.simulated_gpu import on_simulated_gpu, simulated

from briges.runtime.cuda import image_kernels
from briges.runtime.cuda.choose import open_device
from briges.runtime.cuda.image_kernels import ImageKernels, read_kernels
from briges.runtime.errors import BackendError

PACKAGED = Path(__file__).resolve().parents[3] / "runtime" / "kernels"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the packaged kernels that is read instead of them."""
    shutil.copytree(PACKAGED, tmp_path / "kernels")
    monkeypatch.setattr(image_kernels.resources, "files", lambda package: tmp_path)
    return tmp_path / "kernels"


def test_every_packaged_kernel_is_for_the_oldest_gpu_and_driver() -> None:
    table, texts = read_kernels()
    assert set(table) >= {"depth_input_uint8", "semantic_input_uint8", "depth_output", "range", "colour", "grid"}
    for text in texts.values():
        assert b".target sm_75" in text
        assert b".version 8.0" in text
        assert b".loc" not in text, "line information names paths of the machine it was compiled on"


def test_an_altered_kernel_is_never_loaded(copied: Path) -> None:
    with (copied / "grid.ptx").open("a") as stream:
        stream.write("// more\n")
    with pytest.raises(BackendError, match=r"grid\.ptx is not the file that was compiled"):
        read_kernels()


@pytest.mark.parametrize("damage", ["absent", "nonsense", "of another form"])
def test_a_damaged_table_says_to_install_again(copied: Path, damage: str) -> None:
    table = copied / "kernels.json"
    if damage == "absent":
        table.unlink()
    else:
        table.write_text("{" if damage == "nonsense" else json.dumps({"kernels": {}}))
    with pytest.raises(BackendError, match="image kernels: ") as caught:
        read_kernels()
    assert caught.value.cure == "install briges-trt again"


@on_simulated_gpu()
def test_all_of_them_load_and_are_given_back_with_the_device() -> None:
    with simulated() as gpu:
        device = open_device(0)
        with device.current():
            ImageKernels(device)
            assert gpu.live()["modules"] == len(read_kernels()[0])
        device.close()
        assert gpu.live()["modules"] == 0
