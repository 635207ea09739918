"""Inference in overlapping windows of one size: pictures of any size with one compiled graph of the network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.modules.base_modules import MultiScaleInfer, inference_size


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Return the start of each window along a side of `length`: every `stride`, the last one shifted to the border.

    A side that is no longer than a window has a single one.
    """
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


class SlidingWindows(nn.Cell):
    """Logits of pictures by windows; the network always gets batches of one shape, so it is compiled once.

    Inputs: pictures, each (N, 3, H, W) float32, all of one shape. Output: an array (N, num_classes, H, W) float32 for
    each; where windows overlap, their logits are averaged. A picture smaller than a window is padded at the right and
    bottom, and its logits are cropped. The host cuts and joins the windows, so that the device sees one shape only.

    Args:
        network: returns logits (B, num_classes, h, w) of windows (B, 3, h, w) in evaluation mode.
        size: height and width of a window.
        stride: rows and columns from one window to the next, at most `size`.
        batch_size: windows per batch, B; the last batch is filled up with zeros.
        padding: padding value of each channel, (3,): black, normalised like the pictures.
    """

    def __init__(
        self,
        network: nn.Cell,
        *,
        size: tuple[int, int],
        stride: tuple[int, int],
        batch_size: int,
        padding: Sequence[float],
    ) -> None:
        super().__init__(auto_prefix=False)
        self.network, self.size, self.stride, self.batch_size = network, size, stride, batch_size
        self.padding = np.array(padding, np.float32).reshape(3, 1, 1)
        self.set_train(False)

    def __call__(self, *pictures: Tensor) -> list[np.ndarray]:
        # `nn.Cell.__call__` would compile this method; only the network is to be a graph.
        images = np.concatenate([picture.asnumpy() for picture in pictures])  # to (P * N, 3, H, W)
        height, width = images.shape[2:]
        images = self._pad(images)
        tops, lefts = (window_starts(*side) for side in zip(images.shape[2:], self.size, self.stride))
        places = list(itertools.product(range(len(images)), tops, lefts))
        total = np.zeros(0, np.float32)
        for first in range(0, len(places), self.batch_size):
            batch = places[first : first + self.batch_size]
            logits = self._logits(images, batch)
            if first == 0:
                total = np.zeros((len(images), logits.shape[1], *images.shape[2:]), np.float32)
            for (index, top, left), window in zip(batch, logits):
                total[index, :, top : top + self.size[0], left : left + self.size[1]] += window
        if len(places) > len(images):
            total /= self._windows_at(images.shape[2:], tops, lefts)
        return np.split(total[:, :, :height, :width], len(pictures))

    def _pad(self, images: np.ndarray) -> np.ndarray:
        """Pad images (N, 3, H, W) at the right and bottom to at least the size of a window."""
        height, width = images.shape[2:]
        if height >= self.size[0] and width >= self.size[1]:
            return images
        shape = (len(images), 3, max(height, self.size[0]), max(width, self.size[1]))
        padded = np.broadcast_to(self.padding, shape).copy()
        padded[:, :, :height, :width] = images
        return padded

    def _logits(self, images: np.ndarray, places: Sequence[tuple[int, int, int]]) -> np.ndarray:
        """Return the logits of the windows at `places` (image, top, left), at most one batch."""
        windows = np.zeros((self.batch_size, 3, *self.size), np.float32)
        for window, (index, top, left) in zip(windows, places):
            window[...] = images[index, :, top : top + self.size[0], left : left + self.size[1]]
        return self.network(Tensor(windows, ms.float32)).asnumpy()[: len(places)]

    def _windows_at(self, shape: Sequence[int], tops: Sequence[int], lefts: Sequence[int]) -> np.ndarray:
        """Return how many windows cover each pixel, float32 of `shape`."""
        rows, columns = (np.zeros(length, np.float32) for length in shape)
        for counts, starts, window in ((rows, tops, self.size[0]), (columns, lefts, self.size[1])):
            for start in starts:
                counts[start : start + window] += 1
        return rows[:, None] * columns


class SlidingMultiScaleInfer(MultiScaleInfer):
    """`MultiScaleInfer` with the logits of `windows`, whose size is the same at every scale.

    The windows of the mirror image start at its own left border.

    Args:
        windows: maps pictures to logits.
        ratios: scales; (1.0,) for single-scale inference.
        flip: use the mirrored image too.
    """

    def __init__(self, windows: SlidingWindows, ratios: Sequence[float] = (1.0,), flip: bool = False) -> None:
        super().__init__(nn.Identity(), ratios, flip)
        self.windows = windows
        self.set_train(False)

    def construct(self, image: Tensor) -> Tensor:
        if self.plain:
            return self.class_map(Tensor(self.windows(image)[0]))
        size = image.shape[2:]
        totals: list[Tensor] = []
        for ratio in self.ratios:
            logits = self.windows(*self.inputs(image, inference_size(size, ratio)))
            before = [[total] for total in totals] or [[]] * len(logits)
            totals = [self.add_probabilities(Tensor(x), size, *total) for x, total in zip(logits, before)]
        return self.largest(*totals)
