"""Learning rates against values worked out by hand and the published ones; SGD against its definition."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from src.config import schema
from src.modules.factory import create_optimizer, learning_rates


def test_published_learning_rates():
    rates = learning_rates(schema.Optimizer(), total_step=160000, warmup_step=0)
    printed = [f"{rates[step - 1]:.6f}" for step in (10, 20, 30, 40, 50, 60, 70)]
    assert printed == ["0.049997", "0.049995", "0.049992", "0.049989", "0.049986", "0.049983", "0.049981"]


def test_schedule_by_hand():
    optimizer = schema.Optimizer(lr_init=0.5, lr_end=0.1, lr_power=2.0)
    rates = learning_rates(optimizer, total_step=4, warmup_step=2)
    # 0.4 * (1 - i/4)^2 + 0.1, halved at step 0
    np.testing.assert_allclose(rates, [0.25, 0.325, 0.2, 0.125], rtol=1e-12)


def test_warm_up_longer_than_the_run():
    rates = learning_rates(schema.Optimizer(lr_power=0.0), total_step=3, warmup_step=10)
    np.testing.assert_allclose(rates, [0.005, 0.01, 0.015], rtol=1e-12)


class TwoParameters(nn.Cell):
    """One parameter that is decayed in every case, and a 1-D one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(Tensor([[1.0, -2.0]], ms.float32), name="weight")
        self.bias = Parameter(Tensor([0.5], ms.float32), name="bias")


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("filtered", [False, True])
def test_sgd_by_its_definition(nesterov, filtered):
    settings = schema.Optimizer(momentum=0.9, weight_decay=0.1, nesterov=nesterov, filter_bias_and_bn=filtered)
    rates = np.array([0.1, 0.05, 0.2])
    network = TwoParameters()
    optimizer = create_optimizer(network, settings, rates)
    values = {"weight": np.array([[1.0, -2.0]]), "bias": np.array([0.5])}
    velocity = {name: np.zeros_like(value) for name, value in values.items()}
    rng = np.random.default_rng(0)
    for rate in rates:
        gradients = {name: rng.standard_normal(value.shape) for name, value in values.items()}
        optimizer(tuple(Tensor(gradients[p.name], ms.float32) for p in optimizer.parameters))
        for name, value in values.items():
            decay = 0.0 if filtered and value.ndim == 1 else 0.1
            gradient = gradients[name] + decay * value
            velocity[name] = 0.9 * velocity[name] + gradient
            values[name] = value - rate * (gradient + 0.9 * velocity[name] if nesterov else velocity[name])
    np.testing.assert_allclose(network.weight.asnumpy(), values["weight"], rtol=1e-5)
    np.testing.assert_allclose(network.bias.asnumpy(), values["bias"], rtol=1e-5)
