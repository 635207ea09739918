"""BiSeNetV2 (Yu et al., "BiSeNet V2: Bilateral Network with Guided Aggregation", arXiv:2004.02147).

Attribute names are checkpoint keys, equal to those of the public PyTorch implementation: renaming one breaks every
checkpoint. Feature map sizes in comments are fractions of the input's.
"""

from __future__ import annotations

import functools
import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.modules.base_modules import (
    AvgPoolPadded,
    ConvBNReLU,
    MaxPoolPadded,
    Network,
    NormFactory,
    RepeatedDepthwiseConv,
    conv2d,
)
from src.modules.heads import DoubledConvBNReLU, SegmentHead
from src.modules.tensor_ops import TrainableResize

EXPANSION = 6
CLASSIFIER_STD = 0.01
AUX_HEADS = ("aux2", "aux3", "aux4", "aux5_4")


class DetailBranch(nn.Cell):
    """Wide and shallow: (N, 3, H, W) to (N, 128, H/8, W/8)."""

    def __init__(self, norm: NormFactory) -> None:
        super().__init__()
        self.S1 = self._stage(3, (64, 64), norm)
        self.S2 = self._stage(64, (64, 64, 64), norm)
        self.S3 = self._stage(64, (128, 128, 128), norm)

    @staticmethod
    def _stage(in_channels: int, widths: tuple[int, ...], norm: NormFactory) -> nn.SequentialCell:
        inputs = (in_channels, *widths[:-1])
        blocks = [ConvBNReLU(inputs[i], width, stride=2 if i == 0 else 1, norm=norm) for i, width in enumerate(widths)]
        return nn.SequentialCell(blocks)

    def construct(self, x: Tensor) -> Tensor:
        return self.S3(self.S2(self.S1(x)))


class StemBlock(nn.Cell):
    """Two downsampling paths, concatenated: (N, 3, H, W) to (N, 16, H/4, W/4)."""

    def __init__(self, norm: NormFactory) -> None:
        super().__init__()
        self.conv = ConvBNReLU(3, 16, stride=2, norm=norm)
        self.left = nn.SequentialCell(
            [ConvBNReLU(16, 8, kernel_size=1, norm=norm), ConvBNReLU(8, 16, stride=2, norm=norm)]
        )
        self.right = MaxPoolPadded()
        self.fuse = ConvBNReLU(32, 16, norm=norm)

    def construct(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.fuse(ops.concat((self.left(x), self.right(x)), axis=1))


def _expanding_depthwise(channels: int, stride: int, mode: str) -> nn.Cell:
    """Make the 3x3 convolution that expands each channel to EXPANSION channels; `mode` is 'grouped' or 'repeat'."""
    if mode == "repeat":
        return RepeatedDepthwiseConv(channels, EXPANSION, stride=stride)
    return conv2d(channels, channels * EXPANSION, 3, stride=stride, group=channels)


class GatherExpansion(nn.Cell):
    """Gather-and-expansion layer without downsampling: (N, C, H, W) to (N, C, H, W)."""

    def __init__(self, channels: int, norm: NormFactory, depthwise_expand: str) -> None:
        super().__init__()
        wide = channels * EXPANSION
        self.conv1 = ConvBNReLU(channels, channels, norm=norm)
        self.dwconv = nn.SequentialCell([_expanding_depthwise(channels, 1, depthwise_expand), norm(wide), nn.ReLU()])
        self.conv2 = nn.SequentialCell([conv2d(wide, channels, 1), norm(channels)])

    def construct(self, x: Tensor) -> Tensor:
        return ops.relu(self.conv2(self.dwconv(self.conv1(x))) + x)


class GatherExpansionDown(nn.Cell):
    """Gather-and-expansion layer with stride 2: (N, Cin, H, W) to (N, Cout, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, norm: NormFactory, depthwise_expand: str) -> None:
        super().__init__()
        wide = in_channels * EXPANSION
        self.conv1 = ConvBNReLU(in_channels, in_channels, norm=norm)
        self.dwconv1 = nn.SequentialCell([_expanding_depthwise(in_channels, 2, depthwise_expand), norm(wide)])
        self.dwconv2 = nn.SequentialCell([conv2d(wide, wide, 3, group=wide), norm(wide), nn.ReLU()])
        self.conv2 = nn.SequentialCell([conv2d(wide, out_channels, 1), norm(out_channels)])
        self.shortcut = nn.SequentialCell(
            [
                conv2d(in_channels, in_channels, 3, stride=2, group=in_channels),
                norm(in_channels),
                conv2d(in_channels, out_channels, 1),
                norm(out_channels),
            ]
        )

    def construct(self, x: Tensor) -> Tensor:
        feature = self.conv2(self.dwconv2(self.dwconv1(self.conv1(x))))
        return ops.relu(feature + self.shortcut(x))


class ContextEmbedding(nn.Cell):
    """Add the globally pooled context to every position: (N, 128, H, W) to (N, 128, H, W)."""

    def __init__(self, channels: int, norm: NormFactory) -> None:
        super().__init__()
        self.bn = norm(channels)
        self.conv_gap = ConvBNReLU(channels, channels, kernel_size=1, norm=norm)
        self.conv_last = ConvBNReLU(channels, channels, norm=norm)
        self.mean = ops.ReduceMean(keep_dims=True)

    def construct(self, x: Tensor) -> Tensor:
        context = self.conv_gap(self.bn(self.mean(x, (2, 3))))  # to (N, C, 1, 1)
        return self.conv_last(context + x)


class SemanticBranch(nn.Cell):
    """Narrow and deep: (N, 3, H, W) to feature maps of stages 2 (1/4), 3 (1/8), 4 (1/16), 5_4 and 5_5 (1/32)."""

    def __init__(self, norm: NormFactory, depthwise_expand: str) -> None:
        super().__init__()
        down = functools.partial(GatherExpansionDown, norm=norm, depthwise_expand=depthwise_expand)
        keep = functools.partial(GatherExpansion, norm=norm, depthwise_expand=depthwise_expand)
        self.S1S2 = StemBlock(norm)
        self.S3 = nn.SequentialCell([down(16, 32), keep(32)])
        self.S4 = nn.SequentialCell([down(32, 64), keep(64)])
        self.S5_4 = nn.SequentialCell([down(64, 128), keep(128), keep(128), keep(128)])
        self.S5_5 = ContextEmbedding(128, norm)

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        stage2 = self.S1S2(x)
        stage3 = self.S3(stage2)
        stage4 = self.S4(stage3)
        stage5_4 = self.S5_4(stage4)
        return stage2, stage3, stage4, stage5_4, self.S5_5(stage5_4)


class BilateralGuidedAggregation(nn.Cell):
    """Let each branch gate the other.

    Inputs: detail (N, 128, H, W), semantic (N, 128, H/4, W/4). Output: (N, 128, H, W).
    """

    def __init__(self, channels: int, norm: NormFactory, inner_upsample: str, pointwise_bias: bool) -> None:
        super().__init__()
        self.resize = TrainableResize(inner_upsample)
        self.left1 = self._separable(channels, norm, pointwise_bias)
        self.left2 = nn.SequentialCell(
            [conv2d(channels, channels, 3, stride=2), norm(channels), AvgPoolPadded(channels)]
        )
        self.right1 = nn.SequentialCell([conv2d(channels, channels, 3), norm(channels)])
        self.right2 = self._separable(channels, norm, pointwise_bias)
        self.conv = nn.SequentialCell([conv2d(channels, channels, 3), norm(channels), nn.ReLU()])

    @staticmethod
    def _separable(channels: int, norm: NormFactory, bias: bool) -> nn.SequentialCell:
        depthwise = conv2d(channels, channels, 3, group=channels)
        return nn.SequentialCell([depthwise, norm(channels), conv2d(channels, channels, 1, has_bias=bias)])

    def construct(self, detail: Tensor, semantic: Tensor) -> Tensor:
        size = detail.shape[2:]
        gate = ops.sigmoid(self.resize(self.right1(semantic), size))
        # The casts matter under mixed precision, where a convolution's output is float16.
        left = ops.cast(self.left1(detail), ms.float32) * gate
        guide = ops.sigmoid(ops.cast(self.right2(semantic), ms.float32))
        right = self.left2(detail) * guide  # (N, C, H/4, W/4)
        return self.conv(left + self.resize(right, size))


class BiSeNetV2(Network):
    """The whole network: (N, 3, H, W) float32, at least 32x32, to logits (N, num_classes, H, W) float32.

    In training mode, with auxiliary heads, it returns ``(logits, aux2, aux3, aux4, aux5_4)``, all of the input's size.

    Args:
        num_classes: number of classes.
        aux_heads: build the auxiliary heads, which only training uses.
        inner_upsample: 'bilinear' or 'nearest', inside aggregation and auxiliary heads.
        bn_epsilon: epsilon of batch normalisation.
        bga_pointwise_bias: bias in the aggregation's pointwise convolutions.
        dropout: probability of dropping a feature before the classifiers in training.
        depthwise_expand: 'grouped' or 'repeat', see `RepeatedDepthwiseConv`.
        freeze_bn: normalise with the running statistics in training too, and do not update them.
        sync_bn: batch statistics over all devices; Ascend only. Parameter names are the same.
        seed: seed of the initial weights.
    """

    head_names = ("main", *AUX_HEADS)
    head_parts = ("head", *AUX_HEADS)

    def __init__(  # noqa: PLR0913 - the published variants
        self,
        num_classes: int = 19,
        *,
        aux_heads: bool = True,
        inner_upsample: str = "bilinear",
        bn_epsilon: float = 1e-3,
        bga_pointwise_bias: bool = False,
        dropout: float = 0.0,
        depthwise_expand: str = "grouped",
        freeze_bn: bool = False,
        sync_bn: bool = False,
        seed: int = 1,
    ) -> None:
        super().__init__()
        # MindSpore's momentum is the complement of PyTorch's 0.1.
        norm = functools.partial(
            nn.SyncBatchNorm if sync_bn else nn.BatchNorm2d,
            eps=bn_epsilon,
            momentum=0.9,
            use_batch_statistics=False if freeze_bn else None,
        )
        self.detail = DetailBranch(norm)
        self.segment = SemanticBranch(norm, depthwise_expand)
        self.bga = BilateralGuidedAggregation(128, norm, inner_upsample, bga_pointwise_bias)
        head = functools.partial(SegmentHead, num_classes=num_classes, norm=norm, dropout=dropout)
        self.head = head(128, 1024)
        self.aux_heads = aux_heads
        if aux_heads:
            for name, channels, factor in zip(AUX_HEADS, (16, 32, 64, 128), (4, 8, 16, 32)):
                block = DoubledConvBNReLU(128, factor**2, inner_upsample=inner_upsample, norm=norm)
                setattr(self, name, head(channels, 128, before_classifier=block, classifier_inputs=factor**2))
        initialize_weights(self, seed)

    def construct(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        size = image.shape[2:]
        coarse = self.coarse_logits(image)
        if not (self.training and self.aux_heads):
            return self.head.resize(coarse[0], size)
        return tuple([self.head.resize(logits, size) for logits in coarse])

    def coarse_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the heads' logits (N, num_classes, h, w) float32 before resizing; outside training only the main."""
        stage2, stage3, stage4, stage5_4, semantic = self.segment(image)
        logits = self.head(self.bga(self.detail(image), semantic))
        if not (self.training and self.aux_heads):
            return (logits,)
        return logits, self.aux2(stage2), self.aux3(stage3), self.aux4(stage4), self.aux5_4(stage5_4)

    def parts(self) -> tuple[tuple[nn.Cell, ...], tuple[nn.Cell, ...]]:
        """Return the heads and the stages before them."""
        heads = (self.head, *(getattr(self, name) for name in AUX_HEADS if self.aux_heads))
        detail, semantic = self.detail, self.segment
        stages = (detail.S1, detail.S2, detail.S3, semantic.S1S2, semantic.S3, semantic.S4, semantic.S5_4, self.bga)
        return heads, stages


def initialize_weights(network: nn.Cell, seed: int) -> None:
    """Draw initial weights: a seed gives the same ones on every device and MindSpore version.

    Classifiers are normal with standard deviation 0.01 and bias 0, other convolutions Kaiming normal (fan-out, gain
    sqrt 2); the scale of the last batch normalisation of each gather-and-expansion layer is 0, as in the published
    runs.
    """
    rng = np.random.default_rng(seed)
    for name, cell in network.cells_and_names():
        if isinstance(cell, nn.Conv2d):
            out_channels, _, height, width = cell.weight.shape
            fan_out = out_channels * height * width  # PyTorch's definition, which ignores groups
            std = CLASSIFIER_STD if name.endswith("conv_out.1") else math.sqrt(2 / fan_out)
            values = std * rng.standard_normal(cell.weight.shape, dtype=np.float32)
            cell.weight.set_data(Tensor(values, ms.float32))
            if cell.bias is not None:
                cell.bias.set_data(Tensor(np.zeros(cell.bias.shape), ms.float32))
        elif isinstance(cell, (GatherExpansion, GatherExpansionDown)):
            last_bn = cell.conv2[1]
            last_bn.gamma.set_data(Tensor(np.zeros(last_bn.gamma.shape), ms.float32))
