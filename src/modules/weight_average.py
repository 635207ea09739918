"""The exponential moving average of the weights, kept on the device."""

from __future__ import annotations

from collections.abc import Iterable

import mindspore as ms
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from src.modules.optimizer import bias_corrections, table_entry
from src.state.averages import PREFIX, UPDATES


class WeightAverage(nn.Cell):
    """Bias-corrected exponential moving average of the weights, and a copy of the running statistics.

    After t calls the average is shadow / (1 - decay^t), where shadow starts at 0 and becomes
    decay * shadow + (1 - decay) * weight. It is kept in corrected form, average += (1 - decay) / (1 - decay^t) *
    (weight - average), so that its parameters, named ``ema.*``, can be used as they are.

    Inputs: x of any shape. Output: x; the average is updated before x is used.

    Args:
        weights: parameters to average.
        statistics: parameters to copy.
        decay: share of the average that a call keeps, between 0 and 1.
        calls: maximum number of calls.
    """

    def __init__(
        self, weights: Iterable[Parameter], statistics: Iterable[Parameter], *, decay: float, calls: int
    ) -> None:
        super().__init__(auto_prefix=False)
        self.weights, self.statistics = ParameterTuple(weights), ParameterTuple(statistics)
        self.averages = self.weights.clone(prefix=PREFIX.rstrip("."), init="zeros")
        self.copies = self.statistics.clone(prefix=PREFIX.rstrip("."), init="zeros")
        for p in (*self.averages, *self.copies):
            p.requires_grad = False
        self.gain, self.corrections = 1 - decay, bias_corrections(decay, calls)
        self.updates = Parameter(Tensor(0, ms.int32), name=UPDATES, requires_grad=False)
        self.map = ops.HyperMap()

    def construct(self, x: Tensor) -> Tensor:
        share = self.gain / table_entry(self.corrections, self.updates)
        updates = self.updates + 1
        x = ops.depend(x, self.map(ops.partial(_move, share), self.averages, self.weights))
        for i in range(len(self.copies)):
            x = ops.depend(x, ops.assign(self.copies[i], self.statistics[i]))
        return ops.depend(x, ops.assign(self.updates, updates))


def _move(share: Tensor, average: Parameter, weight: Parameter) -> Tensor:
    return ops.assign_add(average, share * (weight - average))
