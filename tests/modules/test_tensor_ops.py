"""Operations on feature maps, in the form for the CPU and in the plain one, against NumPy."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.modules import tensor_ops
from src.modules.tensor_ops import OverChannels, ResizeByProducts, TrainableResize, pad_one


@pytest.fixture(params=["CPU form", "plain form"])
def form(request, monkeypatch):
    monkeypatch.setattr(tensor_ops, "on_cpu", lambda: request.param == "CPU form")
    return request.param


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


class Method(nn.Cell):
    """One method of OverChannels as a network."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.over_channels = OverChannels()
        self.name = name

    def construct(self, x: Tensor) -> Tensor:
        if self.name == "max":
            return self.over_channels.max(x)
        if self.name == "sum":
            return self.over_channels.sum(x)
        return self.over_channels.softmax(x)


def gradient(cell: nn.Cell, x: np.ndarray, sensitivity: np.ndarray) -> np.ndarray:
    wrt_input = ops.GradOperation(sens_param=True)(cell)
    return wrt_input(Tensor(x), Tensor(sensitivity)).asnumpy()


def test_over_channels(form):
    x = draw(2, 5, 3, 4)
    np.testing.assert_array_equal(Method("max")(Tensor(x)).asnumpy(), x.max(1, keepdims=True))
    total = x.astype(np.float64).sum(1, keepdims=True)
    np.testing.assert_allclose(Method("sum")(Tensor(x)).asnumpy(), total, atol=1e-6)
    exponentials = np.exp(x.astype(np.float64))
    expected = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(Method("softmax")(Tensor(x)).asnumpy(), expected, rtol=1e-5)


def test_softmax_of_large_logits_is_finite(form):
    x = np.array([1000.0, 999.0, -1000.0], np.float32).reshape(1, 3, 1, 1)
    result = Method("softmax")(Tensor(x)).asnumpy().ravel()
    np.testing.assert_allclose(result, [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], rtol=1e-5, atol=1e-30)


def test_gradient_of_the_sum_reaches_every_channel(form):
    x, sensitivity = draw(2, 3, 4, 5), draw(2, 1, 4, 5, seed=1)
    np.testing.assert_array_equal(gradient(Method("sum"), x, sensitivity), np.broadcast_to(sensitivity, x.shape))


class ResizeTo(nn.Cell):
    """`TrainableResize` to one size."""

    def __init__(self, mode: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.resize = TrainableResize(mode)
        self.size = size

    def construct(self, x: Tensor) -> Tensor:
        return self.resize(x * 1.0, self.size)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(24, 40), (13, 11), (6, 10), (4, 20), (3, 5)])
def test_gradient_of_resizing_is_its_adjoint(form, mode, size):
    """Resizing is linear, so <resize(x), d> = <x, gradient(d)>, here for each unit vector x."""
    cell, sensitivity = ResizeTo(mode, size), draw(1, 2, *size)
    result = gradient(cell, draw(1, 2, 6, 10), sensitivity)
    units = np.eye(60, dtype=np.float32).reshape(60, 1, 6, 10)
    responses = cell(Tensor(units)).asnumpy().reshape(60, -1).astype(np.float64)
    expected = (responses @ sensitivity.reshape(2, -1).T.astype(np.float64)).T.reshape(result.shape)
    np.testing.assert_allclose(result, expected, atol=2e-5)


def test_gradient_of_resizing_keeps_the_input_s_precision():
    x, sensitivity = draw(1, 2, 3, 4), draw(1, 2, 6, 8)
    wrt_input = ops.GradOperation(sens_param=True)(ResizeTo("bilinear", (6, 8)))
    result = wrt_input(Tensor(x, ms.float16), Tensor(sensitivity, ms.float16))
    assert result.dtype == ms.float16
    np.testing.assert_allclose(result.asnumpy(), gradient(ResizeTo("bilinear", (6, 8)), x, sensitivity), atol=0.02)


SIZES = [
    ((45, 60), (90, 120)),
    ((12, 15), (45, 60)),
    ((7, 9), (23, 31)),
    ((3, 4), (3, 17)),
    ((1, 1), (5, 4)),
    ((29, 13), (113, 49)),
]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_products_pick_the_nearest_pixel(source, target):
    """By PyTorch's rule: the place in the source is floor(i * source / target), computed in float32."""
    x = draw(2, 3, *source)
    steps = (np.float32(s) / np.float32(t) for s, t in zip(source, target))
    rows, columns = (
        [min(int(np.float32(i) * step), s - 1) for i in range(t)] for s, t, step in zip(source, target, steps)
    )
    result = ResizeByProducts("nearest")(Tensor(x), target).asnumpy()
    np.testing.assert_array_equal(result, x[:, :, rows][:, :, :, columns])


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_products_interpolate_between_pixel_centres(source, target):
    x = draw(2, 3, *source)
    expected = np.empty((2, 3, *target))
    for i, j in np.ndindex(*target):
        y, z = ((k + 0.5) * s / t - 0.5 for k, s, t in zip((i, j), source, target))
        y, z = (min(max(place, 0), s - 1) for place, s in zip((y, z), source))
        top, left = int(y), int(z)
        bottom, right = min(top + 1, source[0] - 1), min(left + 1, source[1] - 1)
        upper, lower = (x[..., row, left] * (1 - z + left) + x[..., row, right] * (z - left) for row in (top, bottom))
        expected[..., i, j] = upper * (1 - y + top) + lower * (y - top)
    result = ResizeByProducts("bilinear")(Tensor(x), target).asnumpy()
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_products_in_float16_keep_the_input_s_type():
    x = draw(1, 2, 6, 10)
    result = ResizeByProducts("bilinear", ms.float16)(Tensor(x), (24, 40))
    exact = ResizeByProducts("bilinear")(Tensor(x), (24, 40)).asnumpy()
    assert result.dtype == ms.float32
    assert 0 < np.abs(result.asnumpy() - exact).max() < 2e-3 * np.abs(exact).max()


def test_one_zero_is_put_around():
    x = draw(2, 3, 4, 5)
    np.testing.assert_array_equal(pad_one(Tensor(x)).asnumpy(), np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))))
