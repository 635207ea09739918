"""Check 3: single operators against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from src.modules.base_modules import AvgPoolPadded, MaxPoolPadded, RepeatedDepthwiseConv, conv2d
from src.modules.tensor_ops import TrainableResize
from tools.device_check.network import configuration
from tools.device_check.result import Result, Settings, attempt

UP, CHANNELS, EXPANSION = 8, 16, 6


def axis_weights(source: int) -> np.ndarray:
    """Return the (8 * source, source) matrix of a bilinear resize with half-pixel centres."""
    weights = np.zeros((source * UP, source))
    for row in range(source * UP):
        place = min(max((row + 0.5) / UP - 0.5, 0), source - 1)
        below = int(place)
        weights[row, below] += 1 - (place - below)
        weights[row, min(below + 1, source - 1)] += place - below
    return weights


def windows(x: np.ndarray, stride: int) -> np.ndarray:
    """Return the 3x3 neighbourhoods of x (N, C, H, W), padded with zeros: (N, C, H/stride, W/stride, 3, 3)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view: Any = np.lib.stride_tricks.sliding_window_view  # whose types know no axes
    return view(padded, (3, 3), (2, 3))[:, :, ::stride, ::stride]


def depthwise(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the convolution that makes EXPANSION maps of each channel; weight (C * EXPANSION, 1, 3, 3)."""
    return np.einsum("nchwij,cij->nchw", windows(x, 1).repeat(EXPANSION, 1), weight[:, 0])


def error(found: Tensor, expected: np.ndarray) -> float:
    """Return the largest difference relative to the largest value."""
    return float(np.abs(found.asnumpy() - expected).max() / np.abs(expected).max())


def depthwise_error(cell: nn.Cell, x: np.ndarray) -> float:
    """Return the error of an expanding depthwise convolution."""
    weight = np.random.default_rng(1).standard_normal(cell.weight.shape).astype(np.float32)
    cell.weight.set_data(Tensor(weight))
    return error(cell(Tensor(x)), depthwise(x, weight))


def resize_errors(x: np.ndarray) -> tuple[float, float]:
    """Return the errors of the eightfold bilinear resize and of its gradient."""
    rows, columns = axis_weights(x.shape[2]), axis_weights(x.shape[3])
    cell, size = TrainableResize(), (x.shape[2] * UP, x.shape[3] * UP)
    forward = error(cell(Tensor(x), size), rows @ x @ columns.T)
    dout = np.random.default_rng(2).standard_normal((*x.shape[:2], *size)).astype(np.float32)
    grad = ops.GradOperation(sens_param=True)(_ToSize(cell, size))(Tensor(x), Tensor(dout))
    return forward, error(grad, rows.T @ dout @ columns)


class _ToSize(nn.Cell):
    def __init__(self, cell: nn.Cell, size: tuple[int, int]) -> None:
        super().__init__()
        self.cell, self.size = cell, size

    def construct(self, x: Tensor) -> Tensor:
        return self.cell(x, self.size)


def variance_error(x: np.ndarray) -> float:
    """Return the error of the running variance after one step; either divisor, N or N - 1, is right."""
    norm = nn.BatchNorm2d(x.shape[1], momentum=0.9).set_train(True)
    norm(Tensor(x))
    found = norm.moving_variance
    return min(error(found, 0.9 + 0.1 * x.var((0, 2, 3), ddof=ddof)) for ddof in (0, 1))


def check_operators(settings: Settings) -> Result:
    """Check 3: the largest error of the operators; of the depthwise forms only the configured one counts."""
    x = np.random.default_rng(0).standard_normal((2, CHANNELS, 8, 12)).astype(np.float32)
    positive = np.abs(x)
    resized, gradient = resize_errors(x)
    rows: dict[str, Callable[[], float]] = {
        "max pool": lambda: error(MaxPoolPadded()(Tensor(positive)), windows(positive, 2).max((-1, -2))),
        "average pool": lambda: error(AvgPoolPadded(CHANNELS)(Tensor(x)), windows(x, 2).mean((-1, -2))),
        "running variance": lambda: variance_error(x),
    }
    forms = {
        "grouped": lambda: depthwise_error(conv2d(CHANNELS, CHANNELS * EXPANSION, 3, group=CHANNELS), x),
        "repeat": lambda: depthwise_error(RepeatedDepthwiseConv(CHANNELS, EXPANSION), x),
    }
    chosen = configuration(settings).net_args.depthwise_expand
    rows[chosen] = forms.pop(chosen)
    errors = {"resize": resized, "resize gradient": gradient, **{name: attempt(row) for name, row in rows.items()}}
    others = {f"{name}, for information": attempt(form) for name, form in forms.items()}
    worst = max(errors.values(), key=lambda value: (np.isnan(value), value))
    return Result(
        worst,
        settings.bound(float32=1e-4, hf32=1e-3, float16=2e-2),
        "NumPy",
        "grouped wrong: run again with net_args.depthwise_expand=repeat; others: report the operator with MindSpore's "
        "and CANN's versions",
        {**errors, **others},
    )
