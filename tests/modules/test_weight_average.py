"""The average of the weights against its definition, and its place in checkpoints."""

from __future__ import annotations

import logging

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from src.base.errors import CheckpointError
from src.modules.weight_average import WeightAverage
from src.state import checkpoint
from src.state.checkpoint_origin import Origin, Tensors


class Normalized(nn.Cell):
    """A weight and a running statistic."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(Tensor([1.0, -2.0], ms.float32), name="weight")
        self.mean = Parameter(Tensor([0.5], ms.float32), name="moving_mean", requires_grad=False)


@pytest.mark.parametrize("decay", [0.5, 0.9999])
def test_the_average_by_its_definition(decay):
    network, rng = Normalized(), np.random.default_rng(0)
    average = WeightAverage([network.weight], [network.mean], decay=decay, calls=30)
    shadow = np.zeros(2)
    for step in range(1, 21):
        weight = rng.standard_normal(2).astype(np.float32)
        network.weight.set_data(Tensor(weight))
        network.mean.set_data(Tensor([step], ms.float32))
        assert float(average(Tensor(7.0)).asnumpy()) == 7
        shadow = decay * shadow + (1 - decay) * weight
        saved = {p.name: p.asnumpy() for p in average.get_parameters()}
        np.testing.assert_allclose(saved["ema.weight"], shadow / (1 - decay**step), rtol=0, atol=1e-6)
        assert saved["ema.moving_mean"] == step
        np.testing.assert_array_equal(saved["weight"], weight)
    assert saved["train_state.ema_updates"] == 20


def stored() -> Tensors:
    values = Tensors({"weight": np.ones(2), "ema.weight": np.full(2, 3.0), "train_state.step": np.ones(1)})
    values.origin = Origin(net="BiSeNetV2")
    return values


def test_the_weights_that_are_asked_for(caplog):
    caplog.set_level(logging.INFO)
    model, ema = (checkpoint.choose_weights(stored(), which, "x.ckpt") for which in ("model", "ema"))
    np.testing.assert_array_equal(checkpoint.require_finite_weights(model, "x.ckpt")["weight"], np.ones(2))
    np.testing.assert_array_equal(checkpoint.require_finite_weights(ema, "x.ckpt")["weight"], np.full(2, 3.0))
    assert model.origin == ema.origin == Origin(net="BiSeNetV2")
    assert list(checkpoint.require_finite_weights(ema, "x.ckpt")) == ["weight"]
    assert [record.getMessage() for record in caplog.records] == [
        "weights: model; the checkpoint holds their average, too, which training evaluates: --weights ema",
        "weights: ema, the average",
    ]


def test_a_checkpoint_without_an_average_is_refused_in_one_line():
    values = Tensors({"weight": np.ones(2)})
    assert checkpoint.choose_weights(values, "model", "x.ckpt") is values
    with pytest.raises(CheckpointError) as refused:
        checkpoint.choose_weights(values, "ema", "x.ckpt")
    assert str(refused.value) == "x.ckpt: holds no averaged weights (ema.*): trained without ema_decay"
