"""The network and its loss in PyTorch, for the golden values (make_golden.py) and for the benchmark.

Written for this purpose alone; shares no code with `src`. Importing it needs this folder on ``sys.path``.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from seeded import IGNORE_LABEL
from torch import Tensor, nn
from torch.nn import functional

NUM_CLASSES = 19
HEADS = ("main", "aux2", "aux3", "aux4", "aux5_4")


def conv_bn(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the size (but for its stride) and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def named(**modules: nn.Module) -> nn.Sequential:
    """Chain modules under the given names."""
    return nn.Sequential(OrderedDict(modules))


def conv_bn_relu(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU."""
    conv, bn = conv_bn(inputs, outputs, kernel, stride=stride)
    return named(conv=conv, bn=bn, relu=nn.ReLU())


class Stem(nn.Module):
    """Image (N, 3, H, W) to (N, 16, H/4, W/4), halved once by a convolution and once by two parallel ways."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv_bn_relu(3, 16, stride=2)
        self.left = nn.Sequential(conv_bn_relu(16, 8, kernel=1), conv_bn_relu(8, 16, stride=2))
        self.right = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse = conv_bn_relu(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.fuse(torch.cat((self.left(x), self.right(x)), dim=1))


class GatherExpansion(nn.Module):
    """Gather-and-expansion layer; with stride 2 its depthwise part is doubled and the shortcut is convolved."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 6 * inputs
        self.conv1 = conv_bn_relu(inputs, inputs)
        if stride == 1:
            self.dwconv = nn.Sequential(*conv_bn(inputs, wide, 3, groups=inputs), nn.ReLU())
        else:
            self.dwconv1 = nn.Sequential(*conv_bn(inputs, wide, 3, stride=stride, groups=inputs))
            self.dwconv2 = nn.Sequential(*conv_bn(wide, wide, 3, groups=wide), nn.ReLU())
            depthwise = conv_bn(inputs, inputs, 3, stride=stride, groups=inputs)
            self.shortcut = nn.Sequential(*depthwise, *conv_bn(inputs, outputs, 1))
        self.conv2 = nn.Sequential(*conv_bn(wide, outputs, 1))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.dwconv(y) if self.stride == 1 else self.dwconv2(self.dwconv1(y))
        return (self.conv2(y) + (x if self.stride == 1 else self.shortcut(x))).relu()


class ContextEmbedding(nn.Module):
    """Add what the global average of the map says to every position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv_gap = conv_bn_relu(channels, channels, kernel=1)
        self.conv_last = conv_bn_relu(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        context = x.mean(dim=(2, 3), keepdim=True)
        return self.conv_last(self.conv_gap(self.bn(context)) + x)


def resize(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Resize to (height, width); bilinear has half-pixel centres, nearest takes floor(i * old / new)."""
    return functional.interpolate(x, size=size, mode=mode, align_corners=False if mode == "bilinear" else None)


class Aggregation(nn.Module):
    """Bilateral guided aggregation of detail (N, 128, H, W) and semantics (N, 128, about H/4, about W/4)."""

    def __init__(self, inner_upsample: str) -> None:
        super().__init__()
        self.left1 = nn.Sequential(*conv_bn(128, 128, 3, groups=128), nn.Conv2d(128, 128, 1, bias=False))
        self.left2 = nn.Sequential(*conv_bn(128, 128, 3, stride=2), nn.AvgPool2d(3, stride=2, padding=1))
        self.right1 = nn.Sequential(*conv_bn(128, 128, 3))
        self.right2 = nn.Sequential(*conv_bn(128, 128, 3, groups=128), nn.Conv2d(128, 128, 1, bias=False))
        self.conv = nn.Sequential(*conv_bn(128, 128, 3), nn.ReLU())
        self.mode = inner_upsample

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        size = detail.shape[2:]
        fine = self.left1(detail) * resize(self.right1(semantic), size, self.mode).sigmoid()
        coarse = self.left2(detail) * self.right2(semantic).sigmoid()
        return self.conv(fine + resize(coarse, size, self.mode))


def aux_head(inputs: int, factor: int, mode: str) -> nn.Sequential:
    """Class scores of a map at 1/factor, at twice its size."""
    double = nn.Upsample(scale_factor=2, mode=mode, align_corners=False if mode == "bilinear" else None)
    inner = nn.Sequential(double, conv_bn_relu(128, factor**2))
    classes = nn.Conv2d(factor**2, NUM_CLASSES, 1)
    return named(conv=conv_bn_relu(inputs, 128), conv_out=nn.Sequential(inner, classes))


class BiSeNetV2(nn.Module):
    """The network with its four auxiliary heads; in either mode it returns the logits of all five at full size."""

    def __init__(self, inner_upsample: str, bn_epsilon: float) -> None:
        super().__init__()
        layer, block = GatherExpansion, conv_bn_relu
        self.detail = named(
            S1=nn.Sequential(block(3, 64, stride=2), block(64, 64)),
            S2=nn.Sequential(block(64, 64, stride=2), block(64, 64), block(64, 64)),
            S3=nn.Sequential(block(64, 128, stride=2), block(128, 128), block(128, 128)),
        )
        self.segment = named(
            S1S2=Stem(),
            S3=nn.Sequential(layer(16, 32, 2), layer(32, 32, 1)),
            S4=nn.Sequential(layer(32, 64, 2), layer(64, 64, 1)),
            S5_4=nn.Sequential(layer(64, 128, 2), *(layer(128, 128, 1) for _ in range(3))),
            S5_5=ContextEmbedding(128),
        )
        self.bga = Aggregation(inner_upsample)
        classes = nn.Sequential(nn.Identity(), nn.Conv2d(1024, NUM_CLASSES, 1))
        self.head = named(conv=conv_bn_relu(128, 1024), conv_out=classes)
        for name, inputs, factor in (("aux2", 16, 4), ("aux3", 32, 8), ("aux4", 64, 16), ("aux5_4", 128, 32)):
            self.add_module(name, aux_head(inputs, factor, inner_upsample))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = bn_epsilon

    def forward(self, image: Tensor) -> list[Tensor]:
        x, logits = image, []
        for stage, name in zip(self.segment, HEADS[1:]):
            x = stage(x)
            logits.append(self.get_submodule(name)(x))
        context = self.segment.S5_5(x)
        logits.insert(0, self.head(self.bga(self.detail(image), context)))
        return [resize(scores, image.shape[2:], "bilinear") for scores in logits]


def cross_entropies(heads: list[Tensor], label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the loss of every head: the mean over the weights of the valid pixels."""
    return torch.stack([functional.cross_entropy(x, label, weight, ignore_index=IGNORE_LABEL) for x in heads])
