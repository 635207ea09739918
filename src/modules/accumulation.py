"""Gradient accumulation: several passes per update, summed on the device by one compiled cell."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, amp, nn, ops

from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.train_warpper import TrainOneStepCell, unscale
from src.state.checkpoint import ACCUMULATION


class PassWeight(nn.Cell):
    """Weight of a pass within its update: the mean weight of its pixels, or 1.

    Inputs: label (N, H, W) int32. Output: scalar float32.

    Args:
        criterion: the loss of one head. Cross entropy is divided by the weights of its pixels, so that the passes of an
            update count as one batch of all their images. With OHEM all passes weigh the same, as do several ranks.
    """

    def __init__(self, criterion: CrossEntropy) -> None:
        super().__init__(auto_prefix=False)
        self.criterion = criterion

    def construct(self, label: Tensor) -> Tensor:
        if not self.criterion.over_ranks:
            return Tensor(1.0, ms.float32)
        return self.criterion.pixel_weights(label)[2] / label.size


class AccumulatingStepCell(TrainOneStepCell):
    """One of `accumulate_steps` passes of an update; the last pass updates as `TrainOneStepCell` does with all images.

    Only the outputs of the last pass are meaningful; they are those of the step. If the gradients of any pass are not
    finite, the update is skipped and the gradients of all its passes are dropped. Ranks communicate at the update only,
    unless batch normalisation is synchronised. After an update the sums are zero, so no checkpoint needs them; a
    checkpoint saved because a pass failed has the weights of the last update, but later running statistics.

    Args:
        network: a `WithLossCell` made for one rank, whatever the number of ranks.
        optimizer: see `TrainOneStepCell`.
        pass_weight: maps a label to the weight of its pass, e.g. `PassWeight`.
        accumulate_steps: passes per update.
        heads: number of the network's heads.
        options: of `TrainOneStepCell`.
    """

    def __init__(
        self,
        network: nn.Cell,
        optimizer: nn.Optimizer,
        *,
        pass_weight: nn.Cell,
        accumulate_steps: int,
        heads: int,
        **options: Any,
    ) -> None:
        super().__init__(network, optimizer, **options)
        self.pass_weight, self.accumulate_steps = pass_weight, accumulate_steps
        self.sums = self.weights.clone(prefix=ACCUMULATION.rstrip("."), init="zeros")
        for p in self.sums:
            p.requires_grad = False
        shared = {p.shape: Tensor(np.zeros(p.shape), p.dtype) for p in self.sums}  # less memory than kernels
        self.zeros = tuple(shared[p.shape] for p in self.sums)
        self.loss_sum, self.head_sums = self._sum("loss", 0.0), self._sum("heads", [0.0] * heads)
        self.total = self._sum("total", 0.0)
        self.finite = self._sum("finite", 1.0)
        self.passes = self._sum("passes", 0, ms.int32)

    @staticmethod
    def _sum(name: str, value: Any, dtype: ms.Type = ms.float32) -> Parameter:
        return Parameter(Tensor(value, dtype), name=ACCUMULATION + name, requires_grad=False)

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, ...]:
        image, before = self.running.begin(self.overflow.begin(image))
        loss, head_losses = self.network(image, label)
        scale = self.loss_scale * 1.0  # the value of this step, before `_count` changes the parameter
        weight = self.pass_weight(label)  # applied to the sensitivity: scaling every gradient would take memory
        sensitivity = (ops.ones_like(loss) * (scale * weight), ops.zeros_like(head_losses))
        grads = self.grad(self.network, self.weights)(image, label, sensitivity)
        self.running.end(before, grads)
        finite = self.finite * 1.0
        if not self.overflow.survives_sums:
            finite = finite * ops.cast(self.overflow(grads), ms.float32)
        passes = self.passes + 1
        added = (
            self.map(_add, self.sums, grads),
            ops.assign_add(self.loss_sum, loss * weight),
            ops.assign_add(self.head_sums, head_losses * weight),
            ops.assign_add(self.total, weight),
            ops.assign(self.finite, finite),
            ops.assign(self.passes, passes),
        )
        loss = ops.depend(loss, added)
        overflows, bad_streak = self.overflows * 1, self.bad_streak * 1
        if passes == self.accumulate_steps:
            loss, head_losses, overflows, bad_streak = self._finish(loss, scale)
        return loss, head_losses, scale, overflows, bad_streak

    def _finish(self, loss: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Update with the accumulated gradients and reset the sums; return losses and counters of the step."""
        total = self.over_ranks(ops.depend(self.total * 1.0, loss))
        total = ops.select(total > 0, total, ops.ones_like(total))
        loss, head_losses = self.over_ranks(self.loss_sum / total), self.over_ranks(self.head_sums / total)
        grads = self.average(self.map(ops.partial(unscale, 1.0 / (total * scale)), self.sums))
        finite = self.over_ranks(self.finite * ops.cast(amp.all_finite(grads), ms.float32)) == 1.0
        if self.clip_grad_norm is not None:
            grads = ops.clip_by_global_norm(grads, self.clip_grad_norm)
        loss = self._update(grads, finite, loss)
        loss = ops.depend(loss, self._reset_sums())
        overflows, bad_streak = self._count(finite, ops.isfinite(loss))
        return loss, head_losses, overflows, bad_streak

    def _reset_sums(self) -> tuple:
        return (
            self.map(ops.assign, self.sums, self.zeros),
            ops.assign(self.loss_sum, ops.zeros_like(self.loss_sum)),
            ops.assign(self.head_sums, ops.zeros_like(self.head_sums)),
            ops.assign(self.total, ops.zeros_like(self.total)),
            ops.assign(self.finite, ops.ones_like(self.finite)),
            ops.assign(self.passes, ops.zeros_like(self.passes)),
        )


def _add(total: Parameter, grad: Tensor) -> Tensor:
    return ops.assign_add(total, grad)
