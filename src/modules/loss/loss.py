"""The training loss over all heads."""

from __future__ import annotations

from collections.abc import Sequence

import mindspore as ms
from mindspore import Tensor, nn, ops

from src.modules.loss.cross_entropy import CrossEntropy


class WithLossCell(nn.Cell):
    """Network and loss: the sum of ``loss_weight[i] * CE(head i)``.

    Inputs: image (N, 3, H, W) float32, label (N, H, W) int32. Outputs: the total, a scalar, and the heads' own losses
    (number of heads,), float32.

    Args:
        network: returns a tuple of logits in training mode.
        criterion: the loss of one head.
        loss_weight: one weight a head.
    """

    def __init__(self, network: nn.Cell, criterion: CrossEntropy, loss_weight: Sequence[float]) -> None:
        super().__init__(auto_prefix=False)  # parameters keep the network's names
        self.network = network
        self.criterion = criterion
        self.loss_weight = Tensor(loss_weight, ms.float32)

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        target, weight = self.criterion.pixel_weights(label)
        losses = []
        for logits in self.network(image):
            losses.append(self.criterion.from_weights(logits, target, weight))
        head_losses = ops.stack(losses)
        return ops.reduce_sum(head_losses * self.loss_weight), head_losses
