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
    """

    settings: ClassVar[dict[str, str]] = {}  # further arguments, by the key of the section `loss` that they take
    over_ranks = True  # what `from_weights` divides by is to be the mean over the ranks

    def __init__(self, num_classes: int, class_weights: Sequence[float] | None = None, ignore_label: int = 255) -> None:
        super().__init__()
        weights = np.ones(num_classes) if class_weights is None else np.asarray(class_weights)
        if weights.shape != (num_classes,):
            raise ValueError(f"expected {num_classes} class weights, got {weights.shape}")
        self.class_weights = Tensor(weights, ms.float32)
        self.ignore_label = ignore_label
        self.over_channels = OverChannels()
        self.sum = ops.ReduceSum()

    def pixel_weights(self, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (class or 0 where ignored, weight) of each pixel, both (N, H, W), and the sum of the weights.

        They are the same for all heads.
        """
        valid = label != self.ignore_label
        target = ops.select(valid, label, ops.zeros_like(label))
        weight = ops.gather(self.class_weights, target, 0) * ops.cast(valid, ms.float32)
        return target, weight, self.sum(weight, (0, 1, 2))

    def pixel_losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the cross entropy of each pixel without weights, (N, H, W) float32, at least 0."""
        logits = ops.cast(logits, ms.float32)
        # log-sum-exp written out: several times faster on the CPU than log_softmax and its gradient
        shifted = logits - ops.stop_gradient(self.over_channels.max(logits))
        picked = ops.gather_elements(shifted, 1, ops.expand_dims(target, 1))
        return (ops.log(self.over_channels.sum(ops.exp(shifted))) - picked).reshape(target.shape)

    def from_weights(self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor) -> Tensor:
        """Return the loss for what `pixel_weights` gave; `total` divides the sum over the pixels, if it is not 0."""
        pixel_loss = self.pixel_losses(logits, target)
        total = ops.select(total > 0, total, ops.ones_like(total))
        return self.sum(pixel_loss * weight, (0, 1, 2)) / total

    def construct(self, logits: Tensor, label: Tensor) -> Tensor:
        target, weight, total = self.pixel_weights(label)
        return self.from_weights(logits, target, weight, total)
