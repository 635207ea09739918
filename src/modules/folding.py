"""Fold batch normalisation into the convolutions, for inference."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn

from src.modules.base_modules import ConvBNReLU, RepeatedDepthwiseConv, conv2d
from src.modules.bisenetv2 import ContextEmbedding


def fold_batch_norm(network: nn.Cell) -> int:
    """Fold every batch normalisation of `network` into an adjacent convolution, in place; return their number.

    The result equals the network in evaluation mode up to rounding: with s = gamma / sqrt(variance + epsilon) and
    t = beta - mean * s the preceding convolution gets the weights s * w and the bias s * b + t. Computed in float64.

    Raises:
        ValueError: a batch normalisation has no adjacent convolution.
    """
    count = 0
    for _, cell in list(network.cells_and_names()):
        if isinstance(cell, ContextEmbedding):
            _fold_into_next(cell.conv_gap, cell.bn)
            cell.bn = nn.Identity()
            count += 1
        count += _fold_pairs(cell)
    left = [name for name, cell in network.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    if left:
        raise ValueError(f"no convolution to fold into: {', '.join(left)}")
    return count


def _fold_pairs(cell: nn.Cell) -> int:
    """Fold each batch normalisation that follows a convolution among the direct children of `cell`."""
    children = list(cell.name_cells().items())
    count = 0
    for (conv_name, conv), (bn_name, bn) in zip(children, children[1:]):
        if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
            scale, shift = _affine(bn)
            weight, bias = _weight_and_bias(conv)
            _replace_conv(cell, conv_name, weight * scale[:, None, None, None], bias * scale + shift)
            _set_child(cell, bn_name, nn.Identity())
            count += 1
    return count


def _fold_into_next(block: ConvBNReLU, bn: nn.BatchNorm2d) -> None:
    """Fold a batch normalisation into the following convolution; exact because that has no padding."""
    conv = block.conv
    if conv.kernel_size != (1, 1) or conv.group != 1:
        raise ValueError(f"only a pointwise convolution can absorb a preceding normalisation, not {conv.kernel_size}")
    scale, shift = _affine(bn)
    weight, bias = _weight_and_bias(conv)
    _replace_conv(block, "conv", weight * scale[None, :, None, None], bias + weight[:, :, 0, 0] @ shift)


def _affine(bn: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Return the scale and shift that a batch normalisation applies to each channel, (C,) float64 each."""
    values = (bn.gamma, bn.beta, bn.moving_mean, bn.moving_variance)
    gamma, beta, mean, variance = (value.asnumpy().astype(np.float64) for value in values)
    scale = gamma / np.sqrt(variance + bn.eps)
    return scale, beta - mean * scale


def _weight_and_bias(conv: nn.Conv2d) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (Cout, Cin / groups, k, k) and biases (Cout,) of a convolution, float64."""
    weight = conv.weight.asnumpy().astype(np.float64)
    return weight, conv.bias.asnumpy().astype(np.float64) if conv.has_bias else np.zeros(len(weight))


def _replace_conv(cell: nn.Cell, name: str, weight: np.ndarray, bias: np.ndarray) -> None:
    """Replace the child `name` of `cell` by the same convolution with a bias, with these values.

    The convolution is a new cell, because MindSpore 2.0 treats cells made with equal arguments as the same cell.
    """
    old = cell.name_cells()[name]
    new = _biased_like(old)
    _set_child(cell, name, new)
    for parameter, values, last in ((new.weight, weight, "weight"), (new.bias, bias, "bias")):
        parameter.set_data(Tensor(values, old.weight.dtype))
        parameter.name = old.weight.name[: -len("weight")] + last


def _biased_like(conv: nn.Conv2d) -> nn.Conv2d:
    stride = conv.stride[0]
    if isinstance(conv, RepeatedDepthwiseConv):
        return RepeatedDepthwiseConv(conv.in_channels // conv.expansion, conv.expansion, stride=stride, has_bias=True)
    channels = (conv.in_channels, conv.out_channels, conv.kernel_size[0])
    return conv2d(*channels, stride=stride, group=conv.group, has_bias=True)


def _set_child(cell: nn.Cell, name: str, child: nn.Cell) -> None:
    if isinstance(cell, nn.SequentialCell):
        cell[int(name)] = child
    else:
        setattr(cell, name, child)
