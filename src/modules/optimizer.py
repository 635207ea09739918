"""Learning-rate schedule and optimizers."""

from __future__ import annotations

import numpy as np
from mindspore import nn


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


def create_sgd(
    network: nn.Cell,
    rates: np.ndarray,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0005,
    nesterov: bool = False,
    filter_bias_and_bn: bool = False,
) -> nn.Optimizer:
    """Make SGD with momentum over the trainable parameters of `network`, as PyTorch defines it.

    velocity = momentum * velocity + gradient + weight_decay * weight, then weight -= rate * velocity (or, with
    Nesterov, rate * (gradient + weight_decay * weight + momentum * velocity)).

    Args:
        network: what to train.
        rates: learning rate of every step, (total_step,).
        momentum: factor of the velocity.
        weight_decay: L2 penalty added to the gradient.
        nesterov: look ahead by the velocity.
        filter_bias_and_bn: exempt 1-D parameters from weight decay.
    """
    params = network.trainable_params()
    groups = [{"params": params}]
    if filter_bias_and_bn and weight_decay > 0:
        groups = [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
            {"order_params": params},
        ]
    options = {"learning_rate": rates.astype(np.float32).tolist(), "weight_decay": weight_decay}
    if nesterov:
        # Not nn.Momentum(use_nesterov=True): its CPU kernel takes the flag and leaves it out.
        return nn.SGD(groups, momentum=momentum, nesterov=True, **options)
    # Not nn.SGD: the same steps with one more state as large as the weights.
    return nn.Momentum(groups, momentum=momentum, **options)
