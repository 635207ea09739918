"""Operations on feature maps (N, C, H, W) other than convolution and normalisation.

Some have a second form for the CPU, equal up to rounding, because MindSpore's CPU kernels are slow: 4 to 20 times for
reductions over the channels and for the gradient of bilinear upsampling (``scripts/benchmark.py``). Other devices use
the plain operators, because a matrix unit of lower precision must not replace a sum there.
"""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.utils.local_adapter import custom_gradients_stay_right, on_cpu


def resize(x: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Resize feature maps (N, C, H, W) to `size` (height, width); half-pixel centres (align_corners=False)."""
    if x.shape[2:] == size:
        return x
    if mode == "nearest":
        # Not `ops.interpolate`: later versions crash on its operator in a MindIR written by MindSpore 2.0.
        return ops.ResizeNearestNeighbor(size)(x)
    return ops.interpolate(x, size=size, mode="bilinear", align_corners=False)


# Shared instances: a `bprop` that creates operators, as `ops.tile` does, does not compile inside another `bprop`.
_tile, _matmul, _bmm = ops.Tile(), ops.MatMul(), ops.BatchMatMul()


@ops.constexpr
def _resize_weights(mode: str, target: int, source: int, transpose: bool) -> Tensor:
    """Return the (target, source) matrix that resizes one axis, or its transpose (source, target), float32."""
    if mode == "nearest":  # in float32, as MindSpore and PyTorch compute the source index
        place = np.floor(np.arange(target, dtype=np.float32) * (np.float32(source) / np.float32(target)))
        place = np.minimum(place, source - 1)
    else:
        place = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(source)))
    return Tensor((weights.T if transpose else weights).astype(np.float32))


def bilinear_gradient(dout: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the gradient of a bilinear `resize` from `size` (h, w): (N, C, H, W) to (N, C, h, w), float32.

    It multiplies by the transposed resize matrices of columns and rows.
    """
    batch, channels, height, width = dout.shape
    maps = batch * channels
    dout = ops.cast(dout, ms.float32).reshape(maps * height, width)
    columns = _matmul(dout, _resize_weights("bilinear", width, size[1], False)).reshape(maps, height, size[1])
    rows = _tile(_resize_weights("bilinear", height, size[0], True).reshape(1, size[0], height), (maps, 1, 1))
    return _bmm(rows, columns).reshape(batch, channels, size[0], size[1])


class _BilinearMatrixGradient(nn.Cell):
    """`resize` whose gradient is `bilinear_gradient`."""

    def construct(self, x: Tensor, height: int, width: int) -> Tensor:
        return resize(x, (height, width))

    def bprop(self, x: Tensor, height: int, width: int, out: Tensor, dout: Tensor) -> tuple[Tensor, int, int]:
        return ops.cast(bilinear_gradient(dout, x.shape[2:]), x.dtype), 0, 0


class TrainableResize(nn.Cell):
    """`resize` as a cell with a fast gradient on the CPU.

    Inputs: x (N, C, h, w), size (H, W). Output: (N, C, H, W).

    Args:
        mode: 'bilinear' or 'nearest'.
    """

    def __init__(self, mode: str = "bilinear") -> None:
        super().__init__()
        self.mode = mode
        self.matrix_gradient = on_cpu() and mode == "bilinear" and custom_gradients_stay_right()
        self.bilinear = _BilinearMatrixGradient()

    def construct(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if self.matrix_gradient:
            return self.bilinear(x, size[0], size[1])
        return resize(x, size, self.mode)


class ResizeByProducts(nn.Cell):
    """`TrainableResize` as products with two constant matrices, which every runtime of an exported model supports.

    MindSpore Lite has no bilinear resize with half-pixel centres, and its converter gets the nearest resize of ONNX
    wrong; matrix products are right everywhere. Inputs: x (N, C, h, w), size (H, W). Output: (N, C, H, W).

    Args:
        mode: 'bilinear' or 'nearest'.
        dtype: data type of the products; the result has the type of x.
    """

    def __init__(self, mode: str, dtype: ms.Type = ms.float32) -> None:
        super().__init__()
        self.mode, self.dtype = mode, dtype

    def construct(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        batch, channels, x_height, x_width = x.shape
        height, width = size
        maps, dtype = batch * channels, self.dtype
        weights = ops.cast(_resize_weights(self.mode, width, x_width, True), dtype)
        columns = _matmul(ops.cast(x, dtype).reshape(maps * x_height, x_width), weights)
        columns = columns.reshape(maps, x_height, width)
        rows = ops.cast(_resize_weights(self.mode, height, x_height, False), dtype).reshape(1, height, x_height)
        result = _bmm(_tile(rows, (maps, 1, 1)), columns)  # to (N * C, H, W)
        return ops.cast(result, x.dtype).reshape(batch, channels, height, width)


class OverChannels(nn.Cell):
    """Maximum, sum and softmax over the channels of float32 maps (N, C, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.fast = on_cpu()
        self.reduce_max = ops.ReduceMax(keep_dims=True)
        self.reduce_sum = ops.ReduceSum(keep_dims=True)
        self.conv = ops.Conv2D(1, 1)
        self.unstack = ops.Unstack(axis=1)  # in MindSpore 2.0 `ops.unstack` keeps the C of its first call

    def max(self, x: Tensor) -> Tensor:
        """Return the maximum over the channels, (N, 1, H, W)."""
        if not self.fast:
            return self.reduce_max(x, 1)
        return ops.expand_dims(_largest(self.unstack(x)), 1)

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of the channels, (N, 1, H, W)."""
        if not self.fast:
            return self.reduce_sum(x, 1)
        return self.conv(x, ops.ones((1, x.shape[1], 1, 1), x.dtype))

    def softmax(self, x: Tensor) -> Tensor:
        """Return the softmax over the channels, (N, C, H, W)."""
        if not self.fast:
            return ops.softmax(x, 1)
        exponentials, _, total = self.exponentials(x)
        factor = ops.reciprocal(total)
        return ops.stack([exponentials[i] * factor for i in range(len(exponentials))], axis=1)

    def exponentials(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return exp(x - maximum) of each channel, C maps (N, H, W), the maximum and the sum of the maps.

        It works map by map and without Div, because that CPU kernel, like any that broadcasts, keeps 16 bytes of
        indices per element.
        """
        maps = self.unstack(x)
        largest = _largest(maps)
        exponentials = [ops.exp(maps[i] - largest) for i in range(len(maps))]
        total = exponentials[0]
        for i in range(1, len(maps)):
            total = total + exponentials[i]
        return exponentials, largest, total


class NarrowToLargest(nn.Cell):
    """Narrow an interval around the k-th largest value of a map, without a gradient.

    Inputs: x (N, H, W) float32, k int from 1 to N*H*W, low and high, scalars float32. Outputs: (low, high), scalars,
    the new interval. If the old interval contains the k-th largest value, so does the new one; otherwise it shrinks to
    the nearer end.

    On the CPU TopK reduces it to a point. Elsewhere bisection halves it, by counting the values above its middle, until
    it is as narrow as rounding: on Ascend, MindSpore 2.0 has TopK in float16, or in float32 on the chip's few general
    cores (``mindspore/ops/_op_impl``), whereas comparing and adding run on its vector cores.
    """

    HALVINGS = 28  # shrink an interval of length 1 to 4e-9

    def __init__(self) -> None:
        super().__init__()
        self.fast = on_cpu()
        self.top_k = ops.TopK(sorted=True)
        self.reduce_sum = ops.ReduceSum()

    def construct(self, x: Tensor, k: int, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        if self.fast:
            value = self.top_k(x.reshape(-1), k)[0][k - 1]
            value = ops.minimum(ops.maximum(value, low), high)
            return value, value
        for _ in range(self.HALVINGS):
            middle = (low + high) * 0.5
            enough = self.reduce_sum(ops.cast(x > middle, ms.float32), (0, 1, 2)) >= k
            low, high = ops.select(enough, middle, low), ops.select(enough, high, middle)
        return low, high


class MeanOverRanks(nn.Cell):
    """Mean of a float32 tensor over all ranks; with one rank the tensor itself.

    Args:
        rank_size: number of ranks.
    """

    def __init__(self, rank_size: int) -> None:
        super().__init__()
        self.rank_size = rank_size
        self.all_reduce: Any = ops.AllReduce(ops.ReduceOp.SUM) if rank_size > 1 else None

    def construct(self, x: Tensor) -> Tensor:
        if self.rank_size == 1:
            return x
        return self.all_reduce(ops.stop_gradient(x)) / self.rank_size


def _largest(maps: tuple[Tensor, ...]) -> Tensor:
    """Return the maximum at each position of maps of equal size."""
    largest = maps[0]
    for i in range(1, len(maps)):
        largest = ops.maximum(largest, maps[i])
    return largest


def pad_one(x: Tensor) -> Tensor:
    """Pad feature maps with one zero on each side: (N, C, H, W) to (N, C, H + 2, W + 2).

    It concatenates, because the Pad operator takes ten times as long on the CPU.
    """
    batch, channels, height, width = x.shape
    row = ops.zeros((batch, channels, 1, width), x.dtype)
    x = ops.concat((row, x, row), 2)
    column = ops.zeros((batch, channels, height + 2, 1), x.dtype)
    return ops.concat((column, x, column), 3)
