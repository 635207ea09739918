"""Recomputation: trade time for memory by computing features again in the backward pass."""

from __future__ import annotations

from collections.abc import Sequence

from mindspore import ParameterTuple, Tensor, nn, ops

from src.base.errors import ConfigError
from src.modules.loss.loss import WithLossCell
from src.utils.local_adapter import recomputes_in_order


def recompute(with_loss: WithLossCell, what: str) -> None:
    """Let the backward pass recompute the features inside the heads, or inside heads and stages, of the network.

    Only the feature maps between these parts are kept; a loss that is differentiated counts as part of its head.
    Normalisation then runs twice in a step: its cells store the statistics of the batch, and `RunningStatistics`
    updates the running ones. Call it before the first run.

    Args:
        with_loss: network and loss; the network made with auxiliary heads.
        what: 'none', 'heads' or 'all'.

    Raises:
        ConfigError: the network does not name its parts, or this MindSpore runs operators too late.
    """
    if what == "none":
        return
    if not recomputes_in_order():
        raise ConfigError("recompute: MindSpore 2.0 would leave wrong running statistics; take 2.1 or later, or none")
    network = with_loss.network
    if not with_loss.criterion.gradient_at_once:
        with_loss.head_loss.recompute()
    heads, stages = network.parts() if with_loss.coarse else ((), ())
    if not heads:
        raise ConfigError(f"recompute: {type(network).__name__} does not name its parts; take recompute none")
    for part in (*heads, *(stages if what == "all" else ())):
        part.recompute()
        for _, cell in part.cells_and_names():
            if isinstance(cell, (nn.BatchNorm2d, nn.SyncBatchNorm)) and cell.use_batch_statistics is not False:
                cell.recomputed = True
                cell.bn_train.add_prim_attr("momentum", 1.0)  # running statistics become those of the batch


class RunningStatistics(nn.Cell):
    """Update the running statistics of normalisation layers that `recompute` lets run twice in a step.

    Within a step these layers store the statistics of the batch, which is the same however often they run.

    Args:
        network: the network.
    """

    def __init__(self, network: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        cells = [cell for _, cell in network.cells_and_names() if getattr(cell, "recomputed", False)]
        self.running = ParameterTuple([p for cell in cells for p in (cell.moving_mean, cell.moving_variance)])
        self.share = tuple(cell.momentum for cell in cells for _ in range(2))  # of the batch

    def begin(self, image: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the image and the weighted copies of the statistics, made before the image is used."""
        before = [self.running[i] * (1 - self.share[i]) for i in range(len(self.share))]
        return ops.depend(image, before), before

    def end(self, before: Sequence[Tensor], grads: tuple[Tensor, ...]) -> None:
        """Update the statistics once `grads` are computed."""
        for i in range(len(self.share)):
            moved = before[i] + self.running[i] * self.share[i]
            ops.assign(self.running[i], ops.depend(moved, grads))
