"""Learning-rate schedule and SGD."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from src.base.errors import ConfigError


def polynomial_decay(
    total_step: int, warmup_step: int, *, start: float, end: float = 0.0, power: float = 0.9
) -> np.ndarray:
    """Return the learning rate of each step, (total_step,) float64: polynomial decay, linear warm-up.

    Step i = 0, 1, ... uses (start - end) * (1 - i / total_step) ** power + end, times min(1, (i + 1) / warmup_step)
    while warming up.
    """
    step = np.arange(total_step, dtype=np.float64)
    decay = (1 - step / total_step) ** power
    rates = (start - end) * decay + end
    return rates * np.minimum(1, (step + 1) / warmup_step) if warmup_step else rates


def rate_factors(network: nn.Cell, parameters: Sequence[Parameter], head_lr_mult: float) -> list[float]:
    """Return the factor of each parameter's learning rate: `head_lr_mult` in the heads, 1 elsewhere.

    Raises:
        ConfigError: the factor is not 1 and the network has no such parameter.
    """
    parts = tuple(f"{name}." for name in getattr(network, "head_parts", ()))
    in_heads = [p.name.startswith(parts) for p in parameters]
    if head_lr_mult != 1 and not any(in_heads):
        raise ConfigError(f"optimizer.head_lr_mult: {type(network).__name__} names no parameters of heads (head_parts)")
    return [head_lr_mult if inside else 1.0 for inside in in_heads]


def weight_decays(parameters: Sequence[Parameter], weight_decay: float, filter_bias_and_bn: bool) -> list[float]:
    """Return the weight decay of each parameter: 0 for 1-D ones with `filter_bias_and_bn`."""
    return [0.0 if filter_bias_and_bn and p.ndim <= 1 else weight_decay for p in parameters]


def bias_corrections(decay: float, steps: int) -> Tensor:
    """Return 1 - decay^t for t = 1, 2, ..., float32, at most `steps` values; the last one is valid for all later t.

    It is a table because MindSpore's power and expm1 lose all but three digits if the decay is near 1.
    """
    enough = math.ceil(-17.4 / math.log(decay)) if decay else 1  # decay^t is below float32's rounding of 1
    t = np.arange(1, min(steps, enough) + 1)
    return Tensor(-np.expm1(t * math.log(decay)) if decay else np.ones(1), ms.float32)


def table_entry(table: Tensor, index: Tensor) -> Tensor:
    """Return the entry of a table at the scalar `index`, or the last entry if `index` is beyond it."""
    return ops.gather(table, ops.minimum(index, table.shape[0] - 1), 0)


def create_sgd(  # noqa: PLR0913 - the keys of the section
    network: nn.Cell,
    rates: np.ndarray,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0005,
    nesterov: bool = False,
    filter_bias_and_bn: bool = False,
    head_lr_mult: float = 1.0,
    **_unused: Any,
) -> nn.Optimizer:
    """Make SGD with momentum over the trainable parameters of `network`, as PyTorch defines it.

    velocity = momentum * velocity + gradient + weight_decay * weight, then weight -= rate * velocity (or, with
    Nesterov, rate * (gradient + weight_decay * weight + momentum * velocity)).

    Args:
        network: the network to train.
        rates: learning rate of every step, (total_step,).
        momentum: factor of the velocity.
        weight_decay: L2 penalty added to the gradient.
        nesterov: look ahead by the velocity.
        filter_bias_and_bn: exempt 1-D parameters from weight decay.
        head_lr_mult: factor of the rate in the heads, see `rate_factors`.

    Raises:
        ConfigError: `head_lr_mult` is set, but the network names no heads.
    """
    params = network.trainable_params()
    factors = rate_factors(network, params, head_lr_mult)
    groups = _groups(params, rates, factors, weight_decays(params, weight_decay, filter_bias_and_bn), weight_decay)
    options = {"learning_rate": _as_list(rates), "weight_decay": weight_decay}
    if nesterov:
        # Not nn.Momentum(use_nesterov=True): its CPU kernel accepts the flag and ignores it.
        return nn.SGD(groups, momentum=momentum, nesterov=True, **options)
    # Not nn.SGD: it takes the same steps, but keeps one more state as large as the weights.
    return nn.Momentum(groups, momentum=momentum, **options)


def _groups(
    params: list[Parameter], rates: np.ndarray, factors: list[float], decays: list[float], usual_decay: float
) -> list[dict]:
    """Return MindSpore's parameter groups; a single group if all have the factor 1 and the usual decay."""
    kinds: dict[tuple[float, float], list[Parameter]] = {}
    for p, factor, decay in zip(params, factors, decays):
        kinds.setdefault((factor, decay), []).append(p)
    if set(kinds) == {(1.0, usual_decay)}:
        return [{"params": params}]
    groups = [
        {"params": members, "weight_decay": decay, **({"lr": _as_list(factor * rates)} if factor != 1 else {})}
        for (factor, decay), members in kinds.items()
    ]
    return [*groups, {"order_params": params}]


def _as_list(rates: np.ndarray) -> list[float]:
    return rates.astype(np.float32).tolist()
