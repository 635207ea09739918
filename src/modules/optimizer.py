"""Learning-rate schedule and optimizer."""

from __future__ import annotations

import numpy as np
from mindspore import nn

from src.config import schema


def learning_rates(optimizer: schema.Optimizer, total_step: int, warmup_step: int) -> np.ndarray:
    """Return the learning rate of each step, (total_step,) float64: polynomial decay, linear warm-up.

    Step i = 0, 1, ... uses (lr_init - lr_end) * (1 - i / total_step) ** lr_power + lr_end, times
    min(1, (i + 1) / warmup_step) while warming up.
    """
    step = np.arange(total_step, dtype=np.float64)
    decay = (1 - step / total_step) ** optimizer.lr_power
    rates = (optimizer.lr_init - optimizer.lr_end) * decay + optimizer.lr_end
    return rates * np.minimum(1, (step + 1) / warmup_step) if warmup_step else rates


def _create_sgd(network: nn.Cell, optimizer: schema.Optimizer, rates: np.ndarray) -> nn.Optimizer:
    """Make SGD with momentum over the trainable parameters of `network`, as PyTorch defines it.

    velocity = momentum * velocity + gradient + weight_decay * weight, then weight -= rate * velocity (or, with
    Nesterov, rate * (gradient + weight_decay * weight + momentum * velocity)).
    """
    params = network.trainable_params()
    groups = [{"params": params}]
    if optimizer.filter_bias_and_bn and optimizer.weight_decay > 0:
        groups = [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": optimizer.weight_decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
            {"order_params": params},
        ]
    options = {"learning_rate": rates.astype(np.float32).tolist(), "weight_decay": optimizer.weight_decay}
    if optimizer.nesterov:
        # Not nn.Momentum(use_nesterov=True): its CPU kernel takes the flag and leaves it out.
        return nn.SGD(groups, momentum=optimizer.momentum, nesterov=True, **options)
    # Not nn.SGD: the same steps with one more state as large as the weights.
    return nn.Momentum(groups, momentum=optimizer.momentum, **options)


OPTIMIZERS = {"sgd": _create_sgd}


def create_optimizer(network: nn.Cell, optimizer: schema.Optimizer, rates: np.ndarray) -> nn.Optimizer:
    """Make the optimizer named by ``optimizer.type`` over the trainable parameters of `network`.

    Args:
        network: the network.
        optimizer: the settings.
        rates: learning rate of every step of the run, (total_step,).
    """
    return OPTIMIZERS[optimizer.type](network, optimizer, rates)
