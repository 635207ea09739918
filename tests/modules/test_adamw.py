"""AdamW in lock-step with PyTorch (golden/make_adamw.py), in both of its forms, and what the optimizer refuses."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from src.base.errors import ConfigError
from src.config import schema
from src.modules import adamw
from src.modules.factory import create_optimizer

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "adamw.npz")
NAMES = [name[len("start/") :] for name in GOLDEN if name.startswith("start/")]
CASES = {
    "plain": schema.Optimizer(type="adamw", lr_init=1.0, weight_decay=0.01),
    "other": schema.Optimizer(
        type="adamw",
        lr_init=1.0,
        betas=(0.8, 0.99),
        eps=1e-2,
        weight_decay=5.0,
        filter_bias_and_bn=True,
        head_lr_mult=10.0,
    ),
    "without_first": schema.Optimizer(
        type="adamw", lr_init=1.0, betas=(0.0, 0.9), eps=1e-6, weight_decay=0.0, head_lr_mult=0.5
    ),
}


class Weights(nn.Cell):
    """The parameters of the golden values."""

    head_parts = ("head",)

    def __init__(self) -> None:
        super().__init__()
        self.all = ms.ParameterTuple([Parameter(Tensor(GOLDEN[f"start/{name}"]), name=name) for name in NAMES])


def values(network: Weights) -> dict[str, np.ndarray]:
    return {p.name: p.asnumpy().copy() for p in network.get_parameters()}


def step(optimizer: nn.Optimizer, number: int) -> None:
    optimizer(tuple(Tensor(GOLDEN[f"gradients/{p.name}"][number]) for p in optimizer.parameters))


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_ten_steps_equal_those_of_pytorch(monkeypatch, case, on_cpu):
    monkeypatch.setattr(adamw, "on_cpu", lambda: on_cpu)
    network = Weights()
    optimizer = create_optimizer(network, CASES[case], GOLDEN["rates"])
    assert optimizer.fused == on_cpu
    for number in range(len(GOLDEN["rates"])):
        step(optimizer, number)
        for name, value in values(network).items():
            np.testing.assert_allclose(value, GOLDEN[f"{case}/{name}"][number], rtol=2e-6, atol=2e-6, err_msg=name)
    assert int(optimizer.global_step.asnumpy()[0]) == int(optimizer.steps.asnumpy()) == len(GOLDEN["rates"])


def test_a_compiled_step_does_the_same(graph_mode):
    network = Weights()
    optimizer = create_optimizer(network, CASES["other"], GOLDEN["rates"])
    for number in range(3):
        step(optimizer, number)
    for name, value in values(network).items():
        np.testing.assert_allclose(value, GOLDEN[f"other/{name}"][2], rtol=2e-6, atol=2e-6, err_msg=name)
    ms.set_context(mode=ms.PYNATIVE_MODE)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_rate_of_the_heads_with_sgd(nesterov):
    """One step from rest: the gradient and the decay, times the rate of the parameter."""
    settings = schema.Optimizer(weight_decay=0.5, filter_bias_and_bn=True, head_lr_mult=10.0, nesterov=nesterov)
    network = Weights()
    optimizer = create_optimizer(network, settings, np.array([0.01, 0.02]))
    assert [p.name for p in optimizer.parameters] == NAMES
    step(optimizer, 9)
    for name, value in values(network).items():
        start, gradient = GOLDEN[f"start/{name}"].astype(float), GOLDEN[f"gradients/{name}"][9]
        change = gradient + (0.5 * start if start.ndim > 1 else 0)
        rate = 0.01 * (10 if name.startswith("head.") else 1) * (1.9 if nesterov else 1)
        np.testing.assert_allclose(value, start - rate * change, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_network_that_names_no_heads_has_no_rate_for_them(kind):
    network = Weights()
    network.head_parts = ()
    with pytest.raises(ConfigError, match=r"optimizer.head_lr_mult: Weights names no parameters of heads"):
        create_optimizer(network, schema.Optimizer(type=kind, lr_init=0.1, head_lr_mult=2.0), np.ones(2))
