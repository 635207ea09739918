"""Cross entropy of one head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.modules.tensor_ops import OverChannels, ResizeByProducts, TrainableResize, bilinear_gradient, resize
from src.utils.local_adapter import custom_gradients_stay_right

_DIFFERENTIATED = ("pixel_losses", "from_weights")


class _WithGradient(nn.Cell):
    """A loss computed together with its gradient, so that nothing of the label's size is kept for the backward pass.

    Inputs: those of `function`. Output: the loss, a scalar.

    Args:
        function: takes logits, target, weight and total; returns a loss and its gradient with respect to the logits.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, Tensor]]) -> None:
        super().__init__(auto_prefix=False)
        self.function = function

    def construct(self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        return self.function(logits, target, weight, total)

    def bprop(  # noqa: PLR0913 - a cell's inputs, output and its gradient
        self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor, out: tuple, dout: tuple
    ) -> tuple[Tensor, ...]:
        gradient = ops.cast(out[1] * dout[0], logits.dtype)
        return gradient, ops.zeros_like(target), ops.zeros_like(weight), ops.zeros_like(total)


class CrossEntropy(nn.Cell):
    """Class-weighted cross entropy, divided by the weights of the valid pixels, as PyTorch defines it.

    Inputs: logits (N, C, H, W), label (N, H, W) int32 train ids. Output: scalar float32; 0 without a valid pixel.

    Args:
        num_classes: number of classes C.
        class_weights: weight of each class, None for 1.
        ignore_label: label of the pixels that do not count.
        one_hot: whether the logit of a pixel's class is picked by a product with one-hot vectors, made once for all
            heads: an Ascend gathers single elements, and scatters their gradient, on its slow AI CPU only. Equal up to
            rounding. None chooses by device: the CPU, where a gather is faster, uses no one-hot vectors.
    """

    settings: ClassVar[dict[str, str]] = {}  # further arguments, and the key of the section `loss` that each takes
    over_ranks = True  # `from_weights` divides by the mean total weight of the ranks

    def __init__(
        self,
        num_classes: int,
        class_weights: Sequence[float] | None = None,
        ignore_label: int = 255,
        *,
        one_hot: bool | None = None,
    ) -> None:
        super().__init__()
        weights = np.ones(num_classes) if class_weights is None else np.asarray(class_weights)
        if weights.shape != (num_classes,):
            raise ValueError(f"expected {num_classes} class weights, got {weights.shape}")
        self.class_weights = Tensor(weights, ms.float32)
        self.ignore_label = ignore_label
        self.over_channels = OverChannels()
        self.one_hot = not self.over_channels.fast if one_hot is None else one_hot
        self.classes = Tensor(np.arange(num_classes).reshape(1, num_classes, 1, 1), ms.int32)
        self.sum = ops.ReduceSum()
        self.resize = TrainableResize()
        # The explicit gradient is that of the two methods below; a subclass that overrides one is differentiated.
        own = any(getattr(type(self), name) is not getattr(CrossEntropy, name) for name in _DIFFERENTIATED)
        by_hand = self.over_channels.fast and not self.one_hot and not own
        self.gradient_at_once = by_hand and custom_gradients_stay_right()
        self.at_once = _WithGradient(self.with_gradient)
        self.one_hot_maps = ops.OneHot(axis=1)
        self.on, self.off = Tensor(1.0, ms.float32), Tensor(0.0, ms.float32)
        self.stack = ops.Stack(1)
        self.by_products = ResizeByProducts("bilinear")

    def pixel_weights(self, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return target and weight of each pixel, and the sum of the weights; they are the same for all heads.

        The target is that of `pixel_losses`: with `one_hot` vectors (N, C, H, W) float32, else classes (N, H, W) int32;
        class 0 for ignored pixels. The weights are (N, H, W) float32.
        """
        valid = label != self.ignore_label
        target = ops.select(valid, label, ops.zeros_like(label))
        if self.one_hot:
            target = ops.cast(ops.expand_dims(target, 1) == self.classes, ms.float32)
            weight = self.sum(target * self.class_weights.reshape(self.classes.shape), 1)
        else:
            weight = ops.gather(self.class_weights, target, 0)
        weight = weight * ops.cast(valid, ms.float32)
        return target, weight, self.sum(weight, (0, 1, 2))

    def pixel_losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the cross entropy of each pixel without weights, (N, H, W) float32, at least 0."""
        logits = ops.cast(logits, ms.float32)
        # log-sum-exp written out: several times faster on the CPU than log_softmax and its gradient
        shifted = logits - ops.stop_gradient(self.over_channels.max(logits))
        if self.one_hot:
            picked = self.over_channels.sum(shifted * target)
        else:
            picked = ops.gather_elements(shifted, 1, ops.expand_dims(target, 1))
        batch, _, height, width = logits.shape
        return (ops.log(self.over_channels.sum(ops.exp(shifted))) - picked).reshape((batch, height, width))

    def pixel_factors(self, pixel_loss: Tensor, weight: Tensor, total: Tensor) -> Tensor:
        """Return the factor of each pixel's loss in the loss of a head, (N, H, W) float32; it has no gradient."""
        return weight * ops.reciprocal(ops.select(total > 0, total, ops.ones_like(total)))

    def from_weights(self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor) -> Tensor:
        """Return the loss, given the result of `pixel_weights`; the sum is divided by `total` unless that is 0."""
        pixel_loss = self.pixel_losses(logits, target)
        return self.sum(pixel_loss * self.pixel_factors(ops.stop_gradient(pixel_loss), weight, total), (0, 1, 2))

    def from_coarse(self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor) -> Tensor:
        """Return `from_weights` of logits (N, C, h, w) of any size, resized to the label's size.

        On the CPU a single pass at full size computes loss and gradient, and only maps of the logits' size are kept.
        """
        if self.gradient_at_once:
            return self.at_once(logits, target, weight, total)[0]
        return self.from_weights(self.resize(logits, weight.shape[1:]), target, weight, total)

    def with_gradient(self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and its gradient with respect to the logits, (N, C, h, w) float32."""
        size, coarse = weight.shape[1:], logits.shape[2:]
        logits = ops.cast(logits, ms.float32)
        # the cost of the CPU's resize kernel depends on the result's size; for small logits products are cheaper
        full = self.by_products(logits, size) if 4 * coarse[0] <= size[0] else resize(logits, size)
        exponentials, largest, total_exponential = self.over_channels.exponentials(full)
        picked = ops.gather_elements(full, 1, ops.expand_dims(target, 1)).reshape(largest.shape)
        pixel_loss = ops.log(total_exponential) - (picked - largest)
        factors = self.pixel_factors(pixel_loss, weight, total)
        # gradient of a pixel's loss: softmax - one-hot vector
        scale = ops.reciprocal(total_exponential) * factors
        chosen = self.over_channels.unstack(self.one_hot_maps(target, logits.shape[1], self.on, self.off))
        maps = [exponentials[i] * scale - chosen[i] * factors for i in range(len(chosen))]
        gradient = self.stack(maps)
        if coarse != size:
            gradient = bilinear_gradient(gradient, coarse)
        return self.sum(pixel_loss * factors, (0, 1, 2)), gradient

    def construct(self, logits: Tensor, label: Tensor) -> Tensor:
        target, weight, total = self.pixel_weights(label)
        return self.from_weights(logits, target, weight, total)
