"""The one table of public weight files: what can be fetched, under which licence, and what is refused.

The files are not part of this project; `briges fetch` brings them from where their authors publish them. Sizes and
checksums are those the hosts publish for huggingface.co/depth-anything/Depth-Anything-V2-{Small,Base,Large} (and
their Metric siblings), huggingface.co/spaces/LiheYoung/Depth-Anything and github.com/facebookresearch/segment-anything.
Imports nothing but the standard library and the preset table, so that the command line can list it without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.export.presets import APACHE, PRESETS
from briges.runtime.errors import unknown_name


@dataclass(frozen=True)
class PublicWeight:
    """One file that can be fetched.

    ``sha256`` is in lower-case hexadecimal. ``encoder`` says which half of a BriGeS model it holds: "depth" (Depth
    Anything, usable alone) or "semantic" (Segment Anything). ``origin`` is the project that publishes it.
    """

    name: str
    file_name: str
    bytes: int
    sha256: str
    licence: str
    url: str
    origin: str
    encoder: Literal["depth", "semantic"]

    @property
    def commercial(self) -> bool:
        """Whether the licence allows commercial use."""
        return self.licence == APACHE


@dataclass(frozen=True)
class RefusedWeight:
    """One file that looks usable and is not; ``reason`` is a clause that follows its name in an error."""

    file_name: str
    bytes: int
    sha256: str
    reason: str


_V1_URL = "https://huggingface.co/spaces/LiheYoung/Depth-Anything/resolve/main/checkpoints"
_V2_URL = "https://huggingface.co/depth-anything/Depth-Anything-V2-{size}/resolve/main"
_SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything"
_V2_SIZES = {"s": "Small", "b": "Base", "l": "Large"}


def _v1(size: str, size_bytes: int, sha256: str) -> PublicWeight:
    file_name = f"depth_anything_vit{size}14.pth"
    url, origin = f"{_V1_URL}/{file_name}", "Depth Anything (V1)"
    return PublicWeight(f"depth-anything-v1-{size}", file_name, size_bytes, sha256, APACHE, url, origin, "depth")


def _v2(size: str, size_bytes: int, sha256: str) -> PublicWeight:
    file_name = f"depth_anything_v2_vit{size}.pth"
    url, origin = f"{_V2_URL.format(size=_V2_SIZES[size])}/{file_name}", "Depth Anything V2"
    licence = PRESETS[f"depth-anything-v2-{size}"].licence
    return PublicWeight(f"depth-anything-v2-{size}", file_name, size_bytes, sha256, licence, url, origin, "depth")


def _sam(size: str, tag: str, size_bytes: int, sha256: str) -> PublicWeight:
    file_name = f"sam_vit_{size}_{tag}.pth"
    url, origin = f"{_SAM_URL}/{file_name}", "Segment Anything"
    return PublicWeight(f"sam-vit-{size}", file_name, size_bytes, sha256, APACHE, url, origin, "semantic")


PUBLIC_WEIGHTS: dict[str, PublicWeight] = {
    weight.name: weight
    for weight in (
        _v1("s", 99_219_880, "59afe57cfd9f4284deaf5b753d954723d7136ae842fba3e068ba03537ca1e60e"),
        _v1("b", 389_962_664, "64ae214ae4e27424b644c49464c0aa243016f6f753d95097c8eb9ad0b9cb2d9b"),
        _v1("l", 1_341_401_882, "6c6a383e33e51c5fdfbf31e7ebcda943973a9e6a1cbef1564afe58d7f2e8fe63"),
        _v2("s", 99_218_434, "715fade13be8f229f8a70cc02066f656f2423a59effd0579197bbf57860e1378"),
        _v2("b", 389_961_218, "0d2b7002e62d39d655571c371333340bd88f67ab95050c03591555aa05645328"),
        _v2("l", 1_341_395_338, "a7ea19fa0ed99244e67b624c72b8580b7e9553043245905be58796a608eb9345"),
        _sam("b", "01ec64", 375_042_383, "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"),
        _sam("l", "0b3195", 1_249_524_607, "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"),
    )
}

_NO_GATES_FOR_H = "is the Segment Anything ViT-H encoder; BriGeS gates exist for ViT-B and ViT-L only"
# Their keys and shapes are those of the relative models, so that only the checksum tells them apart.
_METRIC = (
    "is a metric model: its head ends in a sigmoid times a maximum depth, which no preset has, "
    "so its depth would come out wrong without an error"
)


def _metric(data: str, size: str, size_bytes: int, sha256: str) -> RefusedWeight:
    return RefusedWeight(f"depth_anything_v2_metric_{data}_vit{size}.pth", size_bytes, sha256, _METRIC)


REFUSED_WEIGHTS: tuple[RefusedWeight, ...] = (
    RefusedWeight(
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        _NO_GATES_FOR_H,
    ),
    _metric("hypersim", "s", 99_222_290, "b782898d8a3e8be1f639de33837ed85e9b4b73e40f8f5e5cd99067588d722545"),
    _metric("hypersim", "b", 389_965_138, "9dc9e274c5eff55c6daf27b660c0ced0eca4e8593a6da90cdcb04d2b4d3f3fa2"),
    _metric("hypersim", "l", 1_341_401_882, "6f82ff2bc543ac02ddff4aa31fa363676a8305dd3ccf04e80e2af115a044cb6d"),
    _metric("vkitti", "s", 99_221_808, "9203e538d35255c90dda4b7fedb47ff33fe725497bcca3b1e53b3a65ee63f0cb"),
    _metric("vkitti", "b", 389_964_656, "4dad67a7cc10b462bca48e6b8569c762b8eb3c1adada170a3851a6d3ba37bb3e"),
    _metric("vkitti", "l", 1_341_401_064, "239b1054a369e66da2576e9a118d6d7c12d90dc8ebe609579a9a09cd8e05fe38"),
)

_BY_SHA256 = {weight.sha256: weight for weight in PUBLIC_WEIGHTS.values()}
_REFUSED_BY_SHA256 = {refused.sha256: refused for refused in REFUSED_WEIGHTS}


def find_weight(name: str) -> PublicWeight:
    """Return the public weight file called ``name``. Raises UnknownNameError naming the nearest file."""
    if name not in PUBLIC_WEIGHTS:
        raise unknown_name("public weights", name, PUBLIC_WEIGHTS)
    return PUBLIC_WEIGHTS[name]


def weight_by_sha256(sha256: str) -> PublicWeight | None:
    """Return the public file with that hexadecimal checksum; None for a file this table does not know."""
    return _BY_SHA256.get(sha256.lower())


def refused_reason(sha256: str) -> str | None:
    """Say why the file with that hexadecimal checksum must not be used, starting with its name; None if nothing does.

    Their keys and shapes are those of usable files, so they would load without complaint.
    """
    refused = _REFUSED_BY_SHA256.get(sha256.lower())
    return f"{refused.file_name} {refused.reason}" if refused else None
