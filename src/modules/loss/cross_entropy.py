"""Cross entropy of one head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.modules.tensor_ops import OverChannels


class CrossEntropy(nn.Cell):
    """Cross entropy weighted by class, averaged over the weights of the valid pixels, as PyTorch defines it.

    Inputs: logits (N, C, H, W), label (N, H, W) int32 train ids. Output: scalar float32; 0 without a valid pixel.

    Args:
        num_classes: number of classes C.
        class_weights: weight of each class, None for 1.
        ignore_label: label of the pixels that do not count.
        one_hot: whether the loss of a pixel's class is picked by a product with one-hot vectors, made once for all
            heads: an Ascend gathers single elements, and adds them up for the gradient, on its slow AI CPU alone. Equal
            but for rounding. None for the device's form: on the CPU, where a gather is faster, there are no vectors.
    """

    settings: ClassVar[dict[str, str]] = {}  # further arguments, by the key of the section `loss` that they take
    over_ranks = True  # what `from_weights` divides by is to be the mean over the ranks

    def __init__(
        self, num_classes: int, class_weights: Sequence[float] | None = None, ignore_label: int = 255, *,
        one_hot: bool | None = None,
    ) -> None:  # fmt: skip
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

    def pixel_weights(self, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return target and weight of each pixel, and the sum of the weights; they are the same for all heads.

        The target is what `pixel_losses` takes: with `one_hot` vectors (N, C, H, W) float32, else classes (N, H, W)
        int32; of class 0 where ignored. The weights are (N, H, W) float32.
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

    def from_weights(self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor) -> Tensor:
        """Return the loss for what `pixel_weights` gave; `total` divides the sum over the pixels, if it is not 0."""
        pixel_loss = self.pixel_losses(logits, target)
        total = ops.select(total > 0, total, ops.ones_like(total))
        return self.sum(pixel_loss * weight, (0, 1, 2)) / total

    def construct(self, logits: Tensor, label: Tensor) -> Tensor:
        target, weight, total = self.pixel_weights(label)
        return self.from_weights(logits, target, weight, total)
