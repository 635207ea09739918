"""The 3x3 convolution's own gradient against sums by NumPy, and the convolution behind an upsampling in both orders."""

from __future__ import annotations

import functools

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.modules import convolutions
from src.modules.convolutions import Conv3x3
from src.modules.heads import DoubledConvBNReLU


def padded(x: np.ndarray) -> np.ndarray:
    return np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))


def sums(x: np.ndarray, weight: np.ndarray, dout: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients for x and weight, place by place of the kernel, in float64."""
    height, width = x.shape[2:]
    for_weight, for_input = np.zeros(weight.shape), np.zeros(x.shape)
    for a, b in np.ndindex(3, 3):
        moved = padded(x)[:, :, a : a + height, b : b + width]
        for_weight[:, :, a, b] = np.einsum("noyx,niyx->oi", dout, moved)
        moved = padded(dout)[:, :, 2 - a : 2 - a + height, 2 - b : 2 - b + width]
        for_input += np.einsum("noyx,oi->niyx", moved, weight[:, :, a, b].astype(np.float64))
    return for_input, for_weight


@pytest.fixture
def graph_mode():
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    yield
    ms.set_context(mode=mode)


class Gradient(nn.Cell):
    """Gradients of a cell for its input and its parameters."""

    def __init__(self, cell: nn.Cell) -> None:
        super().__init__()
        self.cell = cell
        self.weights = ms.ParameterTuple(cell.trainable_params())
        self.grad = ops.GradOperation(get_all=True, get_by_list=True, sens_param=True)

    def construct(self, x: Tensor, dout: Tensor):  # noqa: ANN201 - as the operator returns them
        return self.grad(self.cell, self.weights)(x, dout)


@pytest.mark.parametrize(
    ("inputs", "outputs", "size", "copied"),
    [(3, 5, (6, 9), 2**24), (5, 3, (7, 4), 2**24), (20, 24, (3, 5), 1), (24, 20, (5, 3), 1), (2, 2, (1, 1), 1)],
)
@pytest.mark.usefixtures("graph_mode")
def test_gradient_equals_sums_by_hand(inputs, outputs, size, copied, monkeypatch):
    monkeypatch.setattr(convolutions, "LARGE", 1)
    monkeypatch.setattr(convolutions, "LARGEST_COPY", copied)  # 1: eight channels at a time
    rng = np.random.default_rng(0)
    x, dout = (rng.standard_normal((2, channels, *size)).astype(np.float32) for channels in (inputs, outputs))
    cell = Conv3x3(inputs, outputs).set_train(True)
    assert cell.own_gradient
    (for_input,), (for_weight,) = Gradient(cell)(Tensor(x), Tensor(dout))
    for got, expected in zip((for_input, for_weight), sums(x, cell.weight.asnumpy(), dout)):
        np.testing.assert_allclose(got.asnumpy(), expected, atol=2e-6 * abs(expected).max())


@pytest.mark.parametrize(
    ("channels", "values", "parts"),
    [
        (5, 1, ((0, 5),)),
        (64, 2**20, ((0, 16), (16, 16), (32, 16), (48, 16))),
        (20, 2**24, ((0, 8), (8, 8), (16, 4))),
    ],
)
def test_a_large_map_is_copied_in_parts(channels, values, parts):
    assert convolutions.channel_slices(channels, values) == parts


class Weight(nn.Cell):
    """Returns what is not the convolution."""

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        return weight


@pytest.mark.parametrize(("size", "train", "own"), [(4, True, True), (3, True, False), (4, False, False)])
@pytest.mark.usefixtures("graph_mode")
def test_own_gradient_is_for_large_maps_in_training(size, train, own, monkeypatch):
    monkeypatch.setattr(convolutions, "LARGE", 16)
    cell = Conv3x3(2, 3)
    cell.with_gradient = Weight()
    shape = cell.set_train(train)(Tensor(np.zeros((1, 2, size, size)), ms.float32)).shape
    assert shape == (cell.weight.shape if own else (1, 3, size, size))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.usefixtures("graph_mode")
def test_products_before_the_upsampling_change_nothing(mode):
    rng = np.random.default_rng(0)
    x, dout = (Tensor(rng.standard_normal(shape), ms.float32) for shape in ((2, 9, 5, 6), (2, 2, 10, 12)))
    results = []
    for products_first in (True, False):
        ms.set_seed(0)
        cell = DoubledConvBNReLU(9, 2, inner_upsample=mode, norm=functools.partial(nn.BatchNorm2d, momentum=0.9))
        assert cell.products_first
        cell.products_first = products_first
        cell.cell_list[1].conv.weight.set_data(
            Tensor(np.random.default_rng(1).standard_normal((2, 9, 3, 3)), ms.float32)
        )
        cell.set_train(True)
        (for_input,), for_weights = Gradient(cell)(x, dout)
        results.append([cell(x), for_input, *for_weights, cell.cell_list[1].bn.moving_variance])
    for first, last in zip(*results):
        np.testing.assert_allclose(first.asnumpy(), last.asnumpy(), atol=2e-6 * abs(last.asnumpy()).max())


def test_products_come_first_where_outputs_are_few():
    norm = functools.partial(nn.BatchNorm2d, momentum=0.9)
    assert not DoubledConvBNReLU(8, 2, inner_upsample="bilinear", norm=norm).products_first
