"""An optimizer of one's own."""

from __future__ import annotations

import numpy as np
from mindspore import nn


def create_adam(network: nn.Cell, rates: np.ndarray, *, weight_decay: float, **of_sgd: object) -> nn.Optimizer:
    """Make Adam over the trainable parameters of `network`; `rates` (total_step,) is the rate of every step."""
    rate = rates.astype(np.float32).tolist()
    return nn.Adam(network.trainable_params(), learning_rate=rate, weight_decay=weight_decay)
