"""The training loss over all heads."""

from __future__ import annotations

from collections.abc import Sequence

import mindspore as ms
from mindspore import Tensor, nn, ops

from src.modules.base_modules import Network
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.tensor_ops import MeanOverRanks


class _HeadLoss(nn.Cell):
    """The loss of one head, as a cell of its own so that it can be recomputed."""

    def __init__(self, criterion: CrossEntropy) -> None:
        super().__init__()
        self.criterion = criterion

    def construct(self, logits: Tensor, target: Tensor, weight: Tensor, total: Tensor) -> Tensor:
        return self.criterion.from_coarse(logits, target, weight, total)


class WithLossCell(nn.Cell):
    """Network and loss: the sum of ``loss_weight[i] * criterion(head i)``.

    Inputs: image (N, 3, H, W) float32, label (N, H, W) int32. Outputs: the total, a scalar, and the losses of the
    heads (number of heads,), float32.

    Args:
        network: a `Network`, or a cell that returns a tuple of logits in training mode.
        criterion: the loss of one head.
        loss_weight: weight of each head.
        rank_size: number of ranks. With several, cross entropy is divided by their mean pixel weight, so that its mean
            over the ranks equals the loss of one rank with all their images, however the valid pixels are distributed.
            With OHEM each rank divides by the weights of the pixels that it keeps.
    """

    def __init__(
        self, network: nn.Cell, criterion: CrossEntropy, loss_weight: Sequence[float], rank_size: int = 1
    ) -> None:
        super().__init__(auto_prefix=False)  # parameters keep the network's names
        self.network = network
        self.coarse = isinstance(network, Network)
        self.criterion = criterion
        self.head_loss = _HeadLoss(criterion)
        self.loss_weight = Tensor(loss_weight, ms.float32)
        self.over_ranks = MeanOverRanks(rank_size if criterion.over_ranks else 1)

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        target, weight, total = self.criterion.pixel_weights(label)
        total = self.over_ranks(total)
        losses = []
        heads = self.network.coarse_logits(image) if self.coarse else self.network(image)
        for logits in heads:
            losses.append(self.head_loss(logits, target, weight, total))
        head_losses = ops.stack(losses)
        return ops.reduce_sum(head_losses * self.loss_weight), head_losses
