"""The network in PyTorch with the module names of mmsegmentation, for the tests of the conversion.

Bilinear upsampling, epsilon 1e-3, and a bias in the pointwise convolutions of the aggregation. No auxiliary heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def unit(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, groups: int = 1, act: bool = True
) -> nn.Module:
    """Make a convolution with batch normalisation, named conv and bn, and a ReLU if wanted."""
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
    module.add_module("bn", nn.BatchNorm2d(outputs, eps=1e-3))
    if act:
        module.add_module("activate", nn.ReLU())
    return module


def separable(inputs: int, outputs: int, *, stride: int = 1, norm: bool) -> nn.Module:
    """Make a depthwise convolution with batch normalisation and a pointwise one, with normalisation or a bias."""
    module = nn.Sequential()
    module.add_module("depthwise_conv", unit(inputs, inputs, stride=stride, groups=inputs, act=False))
    pointwise = unit(inputs, outputs, 1, act=False) if norm else nn.Sequential()
    if not norm:
        pointwise.add_module("conv", nn.Conv2d(inputs, outputs, 1))
    module.add_module("pointwise_conv", pointwise)
    return module


class Stem(nn.Module):
    """(N, 3, H, W) to (N, 16, H/4, W/4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_first = unit(3, 16, stride=2)
        self.convs = nn.Sequential(unit(16, 8, 1), unit(8, 16, stride=2))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.fuse_last = unit(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_first(x)
        return self.fuse_last(torch.cat([self.convs(x), self.pool(x)], 1))


class Layer(nn.Module):
    """Gather-and-expansion layer."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 6 * inputs
        self.conv1 = unit(inputs, inputs)
        expand = unit(inputs, wide, stride=stride, groups=inputs, act=stride == 1)
        self.dwconv = nn.Sequential(expand, *([unit(wide, wide, groups=wide)] if stride == 2 else []))
        self.shortcut = nn.Sequential(separable(inputs, outputs, stride=2, norm=True)) if stride == 2 else nn.Identity()
        self.conv2 = nn.Sequential(unit(wide, outputs, 1, act=False))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv2(self.dwconv(self.conv1(x))) + self.shortcut(x))


class Context(nn.Module):
    """Adds the normalised average of the map."""

    def __init__(self) -> None:
        super().__init__()
        self.gap = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(128, eps=1e-3))
        self.conv_gap = unit(128, 128, 1)
        self.conv_last = unit(128, 128)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_last(x + self.conv_gap(self.gap(x)))


class Aggregation(nn.Module):
    """Detail (N, 128, H, W) and semantics (N, 128, H/4, W/4) gate each other."""

    def __init__(self) -> None:
        super().__init__()
        self.detail_dwconv = nn.Sequential(separable(128, 128, norm=False))
        self.detail_down = nn.Sequential(unit(128, 128, stride=2, act=False), nn.AvgPool2d(3, 2, 1))
        self.semantic_conv = nn.Sequential(unit(128, 128, act=False))
        self.semantic_dwconv = nn.Sequential(separable(128, 128, norm=False))
        self.conv = unit(128, 128)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        size = detail.shape[2:]
        fine = self.detail_dwconv(detail) * torch.sigmoid(enlarge(self.semantic_conv(semantic), size))
        coarse = self.detail_down(detail) * torch.sigmoid(self.semantic_dwconv(semantic))
        return self.conv(fine + enlarge(coarse, size))


def enlarge(x: Tensor, size: torch.Size) -> Tensor:
    """Resize bilinearly with half-pixel centres."""
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


def holder(**modules: nn.Module) -> nn.Module:
    """Make a module that only gives names to others."""
    parent = nn.Module()
    for name, module in modules.items():
        parent.add_module(name, module)
    return parent


class MMSegBiSeNetV2(nn.Module):
    """(N, 3, H, W) to logits (N, num_classes, H, W)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        widths = ((3, 64, 64), (64, 64, 64, 64), (64, 128, 128, 128))
        stages = [
            nn.Sequential(*(unit(a, b, stride=1 + (i == 0)) for i, (a, b) in enumerate(zip(w, w[1:])))) for w in widths
        ]
        semantic = holder(
            stage1=Stem(),
            stage2=nn.Sequential(Layer(16, 32, 2), Layer(32, 32, 1)),
            stage3=nn.Sequential(Layer(32, 64, 2), Layer(64, 64, 1)),
            stage4=nn.Sequential(Layer(64, 128, 2), *(Layer(128, 128, 1) for _ in range(3))),
            stage4_CEBlock=Context(),
        )
        self.backbone = holder(
            detail=holder(detail_branch=nn.Sequential(*stages)), semantic=semantic, bga=Aggregation()
        )
        self.decode_head = holder(conv_seg=nn.Conv2d(1024, num_classes, 1), convs=nn.Sequential(unit(128, 1024)))

    def forward(self, image: Tensor) -> Tensor:
        semantic, x = self.backbone.semantic, image
        for stage in (semantic.stage1, semantic.stage2, semantic.stage3, semantic.stage4, semantic.stage4_CEBlock):
            x = stage(x)
        x = self.backbone.bga(self.backbone.detail.detail_branch(image), x)
        return enlarge(self.decode_head.conv_seg(self.decode_head.convs(x)), image.shape[2:])
