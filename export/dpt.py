"""The depth head: DPT as in Depth Anything (arXiv 2103.13413; LiheYoung/Depth-Anything, depth_anything/dpt.py).

Every resize in the head is bilinear with align_corners=True. ``refinenet4.resConfUnit1`` is stored in checkpoints but
never used, so it does not exist here. Parameter names are those of the checkpoints below ``depth_head.``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from briges.export.presets import GeometrySpec, HeadSpec


def _upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=True)


class ResidualConvUnit(nn.Module):
    """x + conv2(ReLU(conv1(ReLU(x)))): pre-activation, the residual is the raw x."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.conv2(F.relu(self.conv1(F.relu(maps))))


class FusionBlock(nn.Module):
    """Adds a skip connection to the coarser path, refines, resizes and projects."""

    def __init__(self, features: int, *, skip: bool) -> None:
        super().__init__()
        if skip:
            self.resConfUnit1 = ResidualConvUnit(features)
        self.resConfUnit2 = ResidualConvUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, maps: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """maps: [B, F, h, w]; skip: likewise or None for the coarsest level; returns [B, F, *size]."""
        if skip is not None:
            maps = maps + self.resConfUnit1(skip)
        return self.out_conv(_upsample(self.resConfUnit2(maps), size))


class Scratch(nn.Module):
    """Everything after the four projections; the name is the checkpoints'."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        features = spec.features
        for level, channels in enumerate(spec.out_channels, start=1):
            setattr(self, f"layer{level}_rn", nn.Conv2d(channels, features, 3, padding=1, bias=False))
        self.refinenet1 = FusionBlock(features, skip=True)
        self.refinenet2 = FusionBlock(features, skip=True)
        self.refinenet3 = FusionBlock(features, skip=True)
        self.refinenet4 = FusionBlock(features, skip=False)
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU()
        )


class DptHead(nn.Module):
    """Four token maps [B, N, C] -> inverse depth [B, 1, patch*rows, patch*cols], >= 0.

    grid: (rows, columns) of the depth encoder's patches.
    """

    def __init__(self, geometry: GeometrySpec, spec: HeadSpec, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.output_size = (geometry.patch_px * grid[0], geometry.patch_px * grid[1])
        first, second, _, fourth = spec.out_channels
        self.projects = nn.ModuleList(nn.Conv2d(geometry.width, channels, 1) for channels in spec.out_channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, kernel_size=4, stride=4),
                nn.ConvTranspose2d(second, second, kernel_size=2, stride=2),
                nn.Identity(),
                nn.Conv2d(fourth, fourth, 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(spec)

    def forward(self, tapped: list[Tensor]) -> Tensor:
        """tapped: four maps [B, N, C], shallow to deep."""
        levels = []
        for tokens, project, resize in zip(tapped, self.projects, self.resize_layers, strict=True):
            maps = tokens.transpose(1, 2).reshape(tokens.shape[0], -1, *self.grid)  # [B, N, C] -> [B, C, rows, cols]
            levels.append(resize(project(maps)))
        net = self.scratch
        fine, middle, coarse, coarsest = (getattr(net, f"layer{n}_rn")(maps) for n, maps in enumerate(levels, start=1))

        path = net.refinenet4(coarsest, None, _size(coarse))
        path = net.refinenet3(path, coarse, _size(middle))
        path = net.refinenet2(path, middle, _size(fine))
        path = net.refinenet1(path, fine, (2 * fine.shape[2], 2 * fine.shape[3]))
        return net.output_conv2(_upsample(net.output_conv1(path), self.output_size))


def _size(maps: Tensor) -> tuple[int, int]:
    return (maps.shape[2], maps.shape[3])
