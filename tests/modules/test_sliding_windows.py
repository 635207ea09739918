"""Inference in sliding windows against the pixel-by-pixel reference."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.modules.sliding_windows import SlidingMultiScaleInfer, SlidingWindows, window_starts
from tests.modules.test_network import bilinear, softmax
from tests.window_reference import sliding_logits, spans

BLACK = (-1.5, 0.25, 2.0)


class WindowScores(nn.Cell):
    """A stand-in for the network whose logits depend on the pixel, its place in the window and the window's mean.

    It takes batches of one shape and no other.
    """

    def __init__(self, size: tuple[int, int], batch: int) -> None:
        super().__init__()
        self.grid = np.random.default_rng(7).standard_normal((1, 4, *size)).astype(np.float32)
        self.shape, self.constant = (batch, 3, *size), Tensor(self.grid)

    def construct(self, windows: Tensor) -> Tensor:
        assert windows.shape == self.shape
        scores = ops.concat((windows, windows[:, :1] * -1.5), axis=1) + self.constant
        return scores + windows.mean((2, 3), keep_dims=True)[:, :1]

    def by_hand(self, windows: np.ndarray) -> np.ndarray:
        """Return the same of an array."""
        scores = np.concatenate((windows, windows[:, :1] * -1.5), axis=1) + self.grid
        return scores + windows[:, :1].mean((2, 3), keepdims=True)


def picture(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((*shape[:-2], 3, *shape[-2:])).astype(np.float32)


def make(size: tuple[int, int], stride: tuple[int, int], batch: int) -> tuple[WindowScores, SlidingWindows]:
    network = WindowScores(size, batch)
    return network, SlidingWindows(network, size=size, stride=stride, batch_size=batch, padding=BLACK)


@pytest.mark.parametrize(
    ("side", "starts"),
    [
        ((2048, 1024, 768), [0, 768, 1024]),
        ((2048, 1024, 1024), [0, 1024]),
        ((2049, 1024, 1024), [0, 1024, 1025]),
        ((480, 256, 171), [0, 171, 224]),
        ((256, 256, 171), [0]),
        ((100, 256, 171), [0]),
    ],
)
def test_windows_begin_where_mmsegmentation_begins_them(side, starts):
    assert window_starts(*side) == starts
    length, window, stride = side
    if length >= window:
        assert spans(*side) == [(start, start + window) for start in starts]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    "shape",
    [(13, 17), (6, 8), (4, 8), (6, 20), (3, 19), (15, 5), (2, 3)],
    ids=["larger", "equal", "lower", "one row", "low and wide", "narrow", "smaller"],
)
def test_logits_are_the_mean_over_the_windows_of_a_pixel(shape, batch):
    size, stride = (6, 8), (4, 5)
    network, windows = make(size, stride, batch)
    (logits,) = windows(Tensor(picture(1, *shape)))
    expected = sliding_logits(picture(1, *shape)[0], network.by_hand, size, stride, BLACK)
    assert (logits.shape, logits.dtype) == ((1, 4, *shape), np.float32)
    np.testing.assert_allclose(logits[0], expected, rtol=0, atol=1e-5)


def test_several_pictures_share_batches_and_stay_apart():
    size, stride = (6, 8), (6, 8)
    network, windows = make(size, stride, 5)
    several = [picture(2, 12, 9, seed=seed) for seed in (1, 2)]
    for images, logits in zip(several, windows(*map(Tensor, several))):
        for image, found in zip(images, logits):
            expected = sliding_logits(image, network.by_hand, size, stride, BLACK)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("ratios", "flip"), [((1.0,), False), ((1.0,), True), ((0.8, 1.25), True)])
def test_scales_and_mirror_images_by_hand(ratios, flip):
    """At 0.8 the picture is lower than a window."""
    size, stride = (36, 40), (24, 27)
    network, windows = make(size, stride, 3)
    image = picture(1, 40, 50)
    expected = 0
    for ratio in ratios:
        scaled = bilinear(image, (round(40 * ratio), round(50 * ratio)))[0]
        for step in (1, -1)[: 1 + flip]:
            logits = sliding_logits(scaled[..., ::step], network.by_hand, size, stride, BLACK)
            expected = expected + softmax(bilinear(logits[None], (40, 50)))[..., ::step]
    actual = SlidingMultiScaleInfer(windows, ratios, flip)(Tensor(image))
    assert (actual.shape, actual.dtype) == ((1, 40, 50), ms.int32)
    first, second = np.sort(expected, axis=1)[:, -1], np.sort(expected, axis=1)[:, -2]
    clear = first - second > 1e-5  # ties apart, which rounding may break either way
    assert clear.mean() > 0.99
    assert len(np.unique(expected.argmax(1))) == 4
    np.testing.assert_array_equal(actual.asnumpy()[clear], expected.argmax(1)[clear])


def test_evaluation_mode_reaches_the_network():
    network, windows = make((6, 8), (6, 8), 1)
    infer = SlidingMultiScaleInfer(windows)
    network.set_train(True)
    infer.set_train(False)
    assert not network.training


def test_one_graph_serves_all_pictures_scales_and_mirror_images():
    ms.set_context(mode=ms.GRAPH_MODE)
    network, windows = make((36, 40), (24, 27), 2)
    SlidingMultiScaleInfer(windows, (1.0, 1.5), flip=True)(Tensor(picture(1, 40, 50)))
    windows(Tensor(picture(1, 64, 33)))
    assert len(network.compile_cache) == 1
    assert len(windows.compile_cache) == 0
