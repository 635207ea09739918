"""AdamW as PyTorch defines it: MindSpore's lacks bias correction (`nn.AdamWeightDecay`) or decays differently."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from src.modules.optimizer import bias_corrections, rate_factors, table_entry, weight_decays
from src.utils.local_adapter import on_cpu

STEPS = "adam_steps"  # updates made; a skipped step does not count


class AdamW(nn.Optimizer):
    """Adam with bias correction and decoupled weight decay (Loshchilov, Hutter, ICLR 2019).

    In update t = 1, 2, ...: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, then
    weight -= rate * (decay * weight + (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)).

    Inputs: gradients, in the order of the parameters.

    Args:
        parameters: the parameters to train.
        rates: learning rate of every step, (total_step,).
        betas: b1 and b2.
        eps: added to the square root.
        decays: weight decay of each parameter.
        factors: factor of the rate of each parameter.
        fused: whether one operator updates a parameter, which MindSpore documents for CPU and GPU; None uses it on the
            CPU. The result is equal up to rounding.
    """

    def __init__(
        self,
        parameters: list[Parameter],
        rates: np.ndarray,
        *,
        betas: tuple[float, float],
        eps: float,
        decays: list[float],
        factors: list[float],
        fused: bool | None = None,
    ) -> None:
        super().__init__(rates.astype(np.float32).tolist(), parameters, weight_decay=0.0)
        self.betas, self.eps = betas, eps
        self.none_yet: tuple[Tensor, ...] = ()
        self.corrections = tuple(bias_corrections(beta, len(rates)) for beta in betas)
        self.decays, self.factors = tuple(decays), tuple(factors)
        self.fused = on_cpu() if fused is None else fused
        self.operator = ops.AdamWeightDecay()
        self.means = self.parameters.clone(prefix="adam_m", init="zeros")
        self.squares = self.parameters.clone(prefix="adam_v", init="zeros")
        self.steps = Parameter(Tensor(0, ms.int32), name=STEPS, requires_grad=False)
        self.first_beta, self.second_beta = (Tensor(beta, ms.float32) for beta in betas)

    def construct(self, gradients: tuple[Tensor, ...]) -> Tensor:
        rate = self.learning_rate(self.global_step).reshape(())
        steps = self.steps + 1
        first = table_entry(self.corrections[0], self.steps)
        second = table_entry(self.corrections[1], self.steps)
        root = ops.sqrt(second)
        size, eps = root / first, self.eps * root  # correct rate and eps instead of both means
        done = self.none_yet
        for i in range(len(self.parameters)):
            step = rate * self.factors[i] * size
            done += (self._update(i, gradients[i], step, eps, self.decays[i] / size),)
        done += (ops.assign(self.steps, steps), ops.assign_add(self.global_step, Tensor([1], ms.int32)))
        return done

    def _update(self, i: int, gradient: Tensor, step: Tensor, eps: Tensor, decay: Tensor) -> Tensor:
        weight, mean, square = self.parameters[i], self.means[i], self.squares[i]
        if self.fused:
            first, second = self.first_beta, self.second_beta
            return ops.depend(step, self.operator(weight, mean, square, step, first, second, eps, decay, gradient))
        new_mean = mean * self.betas[0] + gradient * (1 - self.betas[0])
        new_square = square * self.betas[1] + gradient * gradient * (1 - self.betas[1])
        change = (new_mean / (ops.sqrt(new_square) + eps) + weight * decay) * step
        kept = ops.depend(step, (ops.assign(mean, new_mean), ops.assign(square, new_square)))
        return ops.depend(kept, ops.assign(weight, weight - change))


def create_adamw(  # noqa: PLR0913 - the keys of the section
    network: nn.Cell,
    rates: np.ndarray,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    filter_bias_and_bn: bool = False,
    head_lr_mult: float = 1.0,
    **_unused: Any,
) -> nn.Optimizer:
    """Make `AdamW` over the trainable parameters of `network`.

    Args:
        network: the network to train.
        rates: learning rate of every step, (total_step,).
        betas: decay of the means of gradients and of their squares.
        eps: added to the square root of the mean square.
        weight_decay: decay of the weights, multiplied by the learning rate.
        filter_bias_and_bn: exempt 1-D parameters from weight decay.
        head_lr_mult: factor of the rate in the heads, see `rate_factors`.

    Raises:
        ConfigError: `head_lr_mult` is set, but the network names no heads.
    """
    params = network.trainable_params()
    decays = weight_decays(params, weight_decay, filter_bias_and_bn)
    return AdamW(
        params, rates, betas=betas, eps=eps, decays=decays, factors=rate_factors(network, params, head_lr_mult)
    )
