"""The dense 3x3 convolution with a custom gradient on the CPU, where MindSpore's takes much memory and time.

In the layout that MindSpore uses, oneDNN computes both parts of the gradient from a ninefold copy of the feature map,
one per thread, and keeps these buffers for each convolution as long as the network lives. The same gradient, written as
a convolution with the rotated kernel and matrix products, is faster on large maps and frees its copies at once
(``scripts/benchmark.py --only memory train``).
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.ops.operations.array_ops import Im2Col

from src.utils.local_adapter import custom_gradients_stay_right, on_cpu

# Pixels of a map from which the custom gradient pays; smaller maps gain more from a graph that compiles faster.
LARGE = 4096
LARGEST_COPY = 2**24  # values copied at once: 64 MB


class Conv3x3(nn.Conv2d):
    """3x3 convolution with stride 1 and padding 1, without bias: (N, Cin, H, W) to (N, Cout, H, W).

    Parameter and result equal those of `nn.Conv2d`; training on the CPU uses a custom gradient for large maps.

    Args:
        in_channels: channels Cin.
        out_channels: channels Cout.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, pad_mode="pad", padding=1, has_bias=False)
        self.own_gradient = on_cpu() and custom_gradients_stay_right()
        self.with_gradient = _WithGradient(in_channels, out_channels)

    def construct(self, x: Tensor) -> Tensor:
        if self.own_gradient and self.training and x.shape[2] * x.shape[3] >= LARGE:
            return self.with_gradient(x, self.weight)
        return super().construct(x)


class _WithGradient(nn.Cell):
    """Convolution of x (N, I, H, W) with weight (O, I, 3, 3), and its gradient with respect to both."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ops.Conv2D(out_channels, 3, pad_mode="pad", pad=1)
        self.back = ops.Conv2D(in_channels, 3, pad_mode="pad", pad=1)
        # a matrix product, because ReverseV2 takes ten times as long on the CPU
        self.reversal, self.matmul = Tensor(np.eye(9)[::-1].copy(), ms.float32), ops.MatMul()
        self.transpose, self.slice, self.join = ops.Transpose(), ops.Slice(), ops.Concat(1)
        # the 3x3 neighbourhood of each pixel: (N, C, H, W) to (N, C, 9, H * W)
        self.surroundings = Im2Col(ksizes=[3, 3], strides=1, dilations=1, pads=1)
        self.product = ops.BatchMatMul(transpose_b=True)
        self.sum = ops.ReduceSum()

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        return self.conv(x, weight)

    def bprop(self, x: Tensor, weight: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor]:
        x = ops.depend(x, dout)  # else the copies below, which depend on x only, are made in the forward pass and kept
        inputs, outputs = x.shape[1], dout.shape[1]
        if inputs <= outputs:
            for_weight = self.products(dout, x).reshape(outputs, inputs, 3, 3)
        else:
            for_weight = self.rotated(self.products(x, dout).reshape(inputs, outputs, 9))
        return self.back(dout, self.rotated(weight.reshape(outputs, inputs, 9))), for_weight

    def rotated(self, kernels: Tensor) -> Tensor:
        """Return kernels (A, B, 9) rotated by 180 degrees: (B, A, 3, 3)."""
        first, second, _ = kernels.shape
        rows = self.transpose(kernels, (1, 0, 2)).reshape(first * second, 9)
        return self.matmul(rows, self.reversal).reshape(second, first, 3, 3)

    def products(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Return sums over batch and pixels of (N, A, H, W) times (N, B, H, W) at its nine shifts: (A, 9 * B)."""
        batch, channels, height, width = moved.shape
        pixels = height * width
        fixed = fixed.reshape(batch, fixed.shape[1], pixels)
        results = []
        for first, number in channel_slices(channels, 9 * batch * pixels):
            part = moved if number == channels else self.slice(moved, (0, first, 0, 0), (batch, number, height, width))
            copies = self.surroundings(part).reshape(batch, 9 * number, pixels)
            results.append(self.sum(self.product(fixed, copies), 0))
        return results[0] if len(results) == 1 else self.join(results)


@ops.constexpr
def channel_slices(channels: int, values: int) -> tuple[tuple[int, int], ...]:
    """Return (first channel, number of channels) of the slices to copy one at a time; `values` is per channel."""
    number = min(channels, max(8, LARGEST_COPY // values))
    return tuple((first, min(number, channels - first)) for first in range(0, channels, number))
