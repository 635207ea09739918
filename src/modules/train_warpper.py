"""One training step as a cell: forward, backward, overflow check, update."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from src.base.memory import give_back_freed_memory
from src.modules.overflow import create_overflow_check
from src.modules.recomputation import RunningStatistics
from src.modules.tensor_ops import MeanOverRanks

_SCALE_FACTOR = 2.0
_MAX_SCALE = 2.0**24


class TrainOneStepCell(nn.Cell):
    """One training step; the same on CPU and Ascend, on one rank or several.

    Inputs: image (N, 3, H, W) float32, label (N, H, W) int32. Outputs, all of this step: total loss, losses of the
    heads, loss scale used, updates skipped so far, consecutive steps whose loss or gradients were not finite (with
    `force_update` the loss only). Losses and gradients are means over the ranks; if they are not finite on one rank,
    they are not finite on any.

    A step whose gradients are not finite leaves weights and momentum unchanged, unless `force_update` is set; the
    learning-rate schedule advances. Running statistics that became non-finite in its forward pass are reset and settle
    within some fifty steps: otherwise they would spoil every later evaluation, while training, which does not use them,
    looked healthy. The counters are kept on the device, so that none is lost within a data sink.

    Args:
        network: a `WithLossCell`.
        optimizer: updates the weights; its own loss scale stays 1.
        loss_scaler: 'static', 'dynamic' (halves on overflow, doubles after `scale_window` good steps) or 'none'.
        loss_scale: the static scale, or the first dynamic one.
        scale_window: good steps before a dynamic scale doubles.
        clip_grad_norm: clip the gradients to this global norm; None does not clip.
        force_update: update even if the gradients are not finite.
        rank_size: number of ranks, which all train the same weights.
        average: a `WeightAverage` over the optimizer's parameters, updated with the weights; None for none.
    """

    def __init__(  # noqa: PLR0913 - settings of a step
        self,
        network: nn.Cell,
        optimizer: nn.Optimizer,
        *,
        loss_scaler: str = "none",
        loss_scale: float = 1024.0,
        scale_window: int = 2000,
        clip_grad_norm: float | None = None,
        force_update: bool = False,
        rank_size: int = 1,
        average: nn.Cell | None = None,
    ) -> None:
        super().__init__(auto_prefix=False)  # parameters keep the network's names
        if loss_scaler not in ("static", "dynamic", "none"):
            raise ValueError(f"loss_scaler must be static, dynamic or none, got {loss_scaler!r}")
        self.network, self.optimizer, self.weights = network, optimizer, optimizer.parameters
        self.network.set_grad()
        everything = [*network.get_parameters(), *(average.copies if average is not None else ())]
        statistics = [p for p in everything if p.name.endswith(("moving_mean", "moving_variance"))]
        self.statistics = ParameterTuple(statistics)
        self.has_average = average is not None
        self.weight_average = nn.Identity() if average is None else average
        self.fresh = tuple(float(p.name.endswith("moving_variance")) for p in statistics)
        self.grad = ops.GradOperation(get_by_list=True, sens_param=True)
        self.map = ops.HyperMap()
        self.over_ranks = MeanOverRanks(rank_size)
        self.overflow = create_overflow_check()
        self.running = RunningStatistics(network)
        self.average = nn.Identity()
        if rank_size > 1:
            self.average = nn.DistributedGradReducer(self.weights, mean=True, degree=rank_size)
        self.dynamic, self.scale_window = loss_scaler == "dynamic", scale_window
        self.clip_grad_norm, self.force_update = clip_grad_norm, force_update
        self.scaled = loss_scaler != "none"
        first_scale = 1.0 if loss_scaler == "none" else loss_scale
        self.loss_scale = Parameter(Tensor(first_scale, ms.float32), name="train_state.loss_scale", requires_grad=False)
        self.good_steps = self._counter("good_steps")
        self.overflows = self._counter("overflows")
        self.bad_streak = self._counter("bad_streak")

    is_compiled = False

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile for these inputs, as `nn.Cell` does before every call, and release the memory of the first time.

        Otherwise it would add some 200 MB on the CPU to the peak, which the following step reaches.
        """
        super().compile(*args, **kwargs)
        if not self.is_compiled:
            self.is_compiled = True
            give_back_freed_memory()

    @staticmethod
    def _counter(name: str) -> Parameter:
        return Parameter(Tensor(0, ms.int32), name=f"train_state.{name}", requires_grad=False)

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, ...]:
        image = self.overflow.begin(image)
        image, before = self.running.begin(image)
        loss, head_losses = self.network(image, label)
        scale = self.loss_scale * 1.0  # the value of this step, before `_count` changes the parameter
        sensitivity = (ops.ones_like(loss) * scale, ops.zeros_like(head_losses))
        grads = self.average(self.grad(self.network, self.weights)(image, label, sensitivity))
        self.running.end(before, grads)
        loss, head_losses = self.over_ranks(loss), self.over_ranks(head_losses)
        # A chip that saturates reports its own overflow only, so the flags are combined over the ranks.
        finite = self.over_ranks(ops.cast(self.overflow(grads), ms.float32)) == 1.0
        if self.scaled:  # skip multiplying every gradient by 1
            grads = self.map(ops.partial(unscale, 1.0 / scale), grads)
        if self.clip_grad_norm is not None:
            grads = ops.clip_by_global_norm(grads, self.clip_grad_norm)
        loss = self._update(grads, finite, loss)
        counters = self._count(finite, ops.isfinite(loss))
        return loss, head_losses, scale, counters[0], counters[1]

    def _update(self, grads: tuple[Tensor, ...], finite: Tensor, loss: Tensor) -> Tensor:
        """Update weights, momentum and average if `finite`, else only the schedule; return `loss`, depending on it."""
        if self.force_update:  # noqa: SIM114 - a constant for the compiler; the next condition is a tensor
            loss = self._take(grads, loss)
        elif finite:
            loss = self._take(grads, loss)
        else:
            loss = ops.depend(loss, ops.assign_add(self.optimizer.global_step, Tensor([1], ms.int32)))
            for i in range(len(self.statistics)):
                loss = ops.depend(loss, _restart_if_not_finite(self.statistics[i], self.fresh[i]))
        return loss

    def _take(self, grads: tuple[Tensor, ...], loss: Tensor) -> Tensor:
        loss = ops.depend(loss, self.optimizer(grads))
        return self.weight_average(loss) if self.has_average else loss

    def _count(self, finite: Tensor, loss_finite: Tensor) -> tuple[Tensor, Tensor]:
        """Advance counters and loss scale by one step; return (overflows, bad_streak)."""
        good = ops.cast(finite, ms.int32)
        good_steps = (self.good_steps + good) * good
        overflows = self.overflows + 1 - good
        # With `force_update` overflowing gradients are accepted, and a register also reports the forward pass.
        gradients_fine = 1 if self.force_update else good
        bad_streak = (self.bad_streak + 1) * (1 - gradients_fine * ops.cast(loss_finite, ms.int32))
        if self.dynamic:
            grow = ops.cast(good_steps >= self.scale_window, ms.float32)
            factor = ops.cast(good, ms.float32) * (1 + grow * (_SCALE_FACTOR - 1)) + (1 - good) / _SCALE_FACTOR
            new_scale = ops.clip_by_value(
                self.loss_scale * factor, Tensor(1.0, ms.float32), Tensor(_MAX_SCALE, ms.float32)
            )
            good_steps = good_steps * ops.cast(good_steps < self.scale_window, ms.int32)
            overflows = ops.depend(overflows, ops.assign(self.loss_scale, new_scale))
        overflows = ops.depend(overflows, ops.assign(self.good_steps, good_steps))
        return ops.assign(self.overflows, overflows), ops.assign(self.bad_streak, bad_streak)


def _restart_if_not_finite(statistic: Parameter, fresh: float) -> Tensor:
    """Set the entries of `statistic` that are not finite to `fresh`."""
    return ops.assign(statistic, ops.select(ops.isfinite(statistic), statistic, ops.full_like(statistic, fresh)))


def unscale(factor: Tensor, grad: Tensor) -> Tensor:
    return grad * ops.cast(factor, grad.dtype)
