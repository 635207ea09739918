"""Building blocks of the network, and the cell that runs it at several scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.modules.convolutions import Conv3x3
from src.modules.tensor_ops import OverChannels, pad_one, resize

NormFactory = Callable[[int], nn.Cell]


class Network(nn.Cell):
    """Base class of the networks that `NETWORKS` in `src/config/registry.py` names.

    Inputs: image (N, 3, H, W) float32. Output: logits (N, num_classes, H, W) float32; in training, with auxiliary
    heads, a tuple of such logits, one for each of `head_names`, in that order.
    """

    head_names: ClassVar[tuple[str, ...]] = ("main",)
    head_parts: ClassVar[tuple[str, ...]] = ()  # sub-cells that are heads, for `optimizer.head_lr_mult`

    def coarse_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of `construct` in training, at any height and width: the loss resizes them bilinearly."""
        return self.construct(image)

    def parts(self) -> tuple[tuple[nn.Cell, ...], tuple[nn.Cell, ...]]:
        """Return the heads and the stages before them, for recomputation; both are empty if it is not supported."""
        return (), ()


def conv2d(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, group: int = 1, has_bias: bool = False
) -> nn.Conv2d:
    """Make a convolution padded by half its kernel, as PyTorch's ``padding=kernel_size // 2``."""
    if (kernel_size, stride, group, has_bias) == (3, 1, 1, False):
        return Conv3x3(in_channels, out_channels)
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        pad_mode="pad",
        padding=kernel_size // 2,
        group=group,
        has_bias=has_bias,
    )


class ConvBNReLU(nn.Cell):
    """Convolution, batch normalisation and ReLU. (N, Cin, H, W) to (N, Cout, H/stride, W/stride)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, *, stride: int = 1, norm: NormFactory
    ) -> None:
        super().__init__()
        self.conv = conv2d(in_channels, out_channels, kernel_size, stride=stride)
        self.bn = norm(out_channels)

    def construct(self, x: Tensor) -> Tensor:
        return ops.relu(self.bn(self.conv(x)))


class RepeatedDepthwiseConv(nn.Conv2d):
    """Expanding depthwise convolution as repeated channels and a true depthwise convolution.

    Same weight shape and result as a convolution with ``group=in_channels``; MindSpore documents grouped convolution
    on Ascend only for the true depthwise case (in = out = groups). (N, C, H, W) to (N, C * expansion, H', W').
    """

    def __init__(self, in_channels: int, expansion: int, *, stride: int = 1, has_bias: bool = False) -> None:
        channels = in_channels * expansion
        super().__init__(
            channels, channels, 3, stride=stride, pad_mode="pad", padding=1, group=channels, has_bias=has_bias
        )
        self.expansion = expansion

    def construct(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        x = x.reshape(batch, channels, 1, height * width)
        x = ops.tile(x, (1, 1, self.expansion, 1))  # each channel `expansion` times in a row
        return super().construct(x.reshape(batch, channels * self.expansion, height, width))


class MaxPoolPadded(nn.Cell):
    """3x3 max pooling with stride 2 and padding 1 of non-negative maps. (N, C, H, W) to (N, C, H/2, W/2).

    Padding with zeros is exact after a ReLU; MindSpore's own padded pool is a slow 3-D operator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        return self.pool(pad_one(x))


class AvgPoolPadded(nn.Cell):
    """3x3 average pooling with stride 2 and padding 1, padding included. (N, C, H, W) to (N, C, H/2, W/2).

    A depthwise convolution with the constant 1/9: MindSpore's padded average pool is a 3-D operator that exporters
    reject, and later versions cannot load a MindIR that contains its plain AvgPool.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = Tensor(np.full((channels, 1, 3, 3), 1 / 9), ms.float32)
        self.conv = ops.Conv2D(channels, (3, 3), pad_mode="pad", pad=1, stride=2, group=channels)

    def construct(self, x: Tensor) -> Tensor:
        return self.conv(x, self.weight)


def to_mixed_precision(network: nn.Cell) -> None:
    """Let the convolutions of `network` compute in float16 and batch normalisation in float32.

    Everything else follows the type of its inputs, which come from batch normalisation. Call it before the first run:
    the precision of a compiled cell no longer changes.
    """
    for _, cell in network.cells_and_names():
        if isinstance(cell, nn.Conv2d):
            cell.to_float(ms.float16)
            cell.own_gradient = False
        elif isinstance(cell, (nn.BatchNorm2d, nn.SyncBatchNorm, AvgPoolPadded)):
            cell.to_float(ms.float32)


def inference_size(size: tuple[int, int], ratio: float) -> tuple[int, int]:
    """Return `size` times `ratio`, rounded, at least 32 each: the size at which multi-scale inference runs."""
    return max(32, round(ratio * size[0])), max(32, round(ratio * size[1]))


class MultiScaleInfer(nn.Cell):
    """Average class probabilities over scales and mirror images.

    Inputs: image (N, 3, H, W) float32. Output: class map (N, H, W) int32.

    In graph mode the network is compiled once per scale, and that graph serves the image and its mirror image;
    single-scale inference without flip is one graph. Inside another cell's graph it is all part of that graph.

    Args:
        network: returns logits (N, num_classes, H, W) in evaluation mode.
        ratios: scales; (1.0,) for single-scale inference.
        flip: use the mirrored image too.
    """

    def __init__(self, network: nn.Cell, ratios: Sequence[float] = (1.0,), flip: bool = False) -> None:
        super().__init__(auto_prefix=False)
        self.ratios = tuple(ratios)
        self.plain = self.ratios == (1.0,) and not flip
        if self.plain:
            self.class_map = _ClassMap(network)
        else:
            self.inputs = _NetworkInputs(flip)
            self.add_probabilities = _AddProbabilities(network)
            self.largest = _LargestOfBoth()
        self.set_train(False)

    def __call__(self, image: Tensor) -> Tensor:
        # `nn.Cell.__call__` would compile `construct` into one graph with the network twice for every scale.
        return self.construct(image)

    def construct(self, image: Tensor) -> Tensor:
        if self.plain:
            return self.class_map(image)
        size = image.shape[2:]
        totals = [self.add_probabilities(x, size) for x in self.inputs(image, inference_size(size, self.ratios[0]))]
        for ratio in self.ratios[1:]:
            inputs = self.inputs(image, inference_size(size, ratio))
            totals = [self.add_probabilities(inputs[i], size, totals[i]) for i in range(len(inputs))]
        return self.largest(*totals)


class _ClassMap(nn.Cell):
    """Class map (N, H, W) int32 of an image (N, 3, H, W): the argmax of the logits, which softmax would not change."""

    def __init__(self, network: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.argmax = ops.ArgMaxWithValue(axis=1)

    def construct(self, image: Tensor) -> Tensor:
        return ops.cast(self.argmax(self.network(image))[0], ms.int32)


class _NetworkInputs(nn.Cell):
    """The image (N, 3, H, W) resized, followed by its mirror image with `flip`: a tuple of (N, 3, *size)."""

    def __init__(self, flip: bool) -> None:
        super().__init__()
        self.flip = flip
        self.mirror = ops.ReverseV2(axis=[3])

    def construct(self, image: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
        scaled = resize(image, size)
        return (scaled, self.mirror(scaled)) if self.flip else (scaled,)


class _AddProbabilities(nn.Cell):
    """Softmax of the network's logits for x (N, 3, h, w), resized to `size` and added to `total` if given.

    Output: (N, num_classes, *size) float32.
    """

    def __init__(self, network: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.over_channels = OverChannels()

    def construct(self, x: Tensor, size: tuple[int, int], total: Tensor | None = None) -> Tensor:
        probabilities = self.over_channels.softmax(resize(self.network(x), size))
        return probabilities if total is None else total + probabilities


class _LargestOfBoth(nn.Cell):
    """Class map (N, H, W) int32 of summed probabilities (N, C, H, W), those of the mirror image added if given."""

    def __init__(self) -> None:
        super().__init__()
        self.mirror = ops.ReverseV2(axis=[3])
        self.argmax = ops.ArgMaxWithValue(axis=1)

    def construct(self, total: Tensor, mirrored: Tensor | None = None) -> Tensor:
        if mirrored is not None:
            total = total + self.mirror(mirrored)  # mirror the sum once instead of every term
        return ops.cast(self.argmax(total)[0], ms.int32)
