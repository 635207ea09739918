"""Training with recomputed features against training without: the same weights and running statistics."""

from __future__ import annotations

import functools

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.base.errors import ConfigError
from src.modules.base_modules import ConvBNReLU, Network, conv2d
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.loss.loss import WithLossCell
from src.modules.recomputation import recompute
from src.modules.train_warpper import TrainOneStepCell
from src.utils import local_adapter
from src.utils.local_adapter import recomputes_in_order

NORM = functools.partial(nn.BatchNorm2d, momentum=0.9)


class Small(Network):
    """Two stages and a head."""

    def __init__(self) -> None:
        super().__init__()
        ms.set_seed(0)
        self.first = nn.SequentialCell([ConvBNReLU(3, 4, norm=NORM), ConvBNReLU(4, 4, norm=NORM)])
        self.second = ConvBNReLU(4, 4, norm=NORM)
        self.head = nn.SequentialCell([ConvBNReLU(4, 4, norm=NORM), conv2d(4, 3, 1, has_bias=True)])
        for parameter in self.trainable_params():
            rng = np.random.default_rng(len(parameter.name))
            parameter.set_data(Tensor(rng.standard_normal(parameter.shape), ms.float32))

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.head(self.second(self.first(image))),)

    def parts(self) -> tuple[tuple[nn.Cell, ...], tuple[nn.Cell, ...]]:
        return (self.head,), (self.first, self.second)


@pytest.fixture(autouse=True)
def graph_mode():
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    yield
    ms.set_context(mode=mode)


def train(network: Small, what: str = "none", one_hot: bool = False) -> dict[str, np.ndarray]:
    """Take three steps; return all parameters of the network."""
    optimizer = nn.Momentum(network.trainable_params(), 0.1, 0.9)
    with_loss = WithLossCell(network, CrossEntropy(3, one_hot=one_hot), [1.0])
    recompute(with_loss, what)
    cell = TrainOneStepCell(with_loss, optimizer).set_train(True)
    rng = np.random.default_rng(0)
    for _ in range(3):
        image = Tensor(rng.standard_normal((2, 3, 8, 8)), ms.float32)
        cell(image, Tensor(rng.integers(0, 3, (2, 8, 8)), ms.int32))
    return {p.name: p.asnumpy() for p in network.get_parameters()}


def test_recomputed_normalisation_would_move_its_statistics_twice():
    plain, network = train(Small()), Small()
    for part in (*network.parts()[0], *network.parts()[1]):
        part.recompute()
    twice = train(network)
    assert any(abs(twice[name] - plain[name]).max() > 1e-2 for name in plain if "moving_mean" in name)


needs_order = pytest.mark.skipif(not recomputes_in_order(), reason="refused here")


@needs_order
@pytest.mark.parametrize(("what", "one_hot"), [("heads", False), ("all", True)])
def test_weights_and_statistics_are_the_same(what, one_hot):
    plain = train(Small())
    for name, value in train(Small(), what, one_hot).items():
        np.testing.assert_allclose(value, plain[name], atol=1e-5 * abs(plain[name]).max(), err_msg=name)


def test_a_version_that_recomputes_too_late_is_refused(monkeypatch):
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: (2, 0, 0))
    with pytest.raises(ConfigError, match="recompute: MindSpore 2.0 would leave wrong running statistics"):
        recompute(WithLossCell(Small(), CrossEntropy(3), [1.0]), "heads")


@needs_order
def test_a_network_that_does_not_tell_its_parts_is_refused():
    with_loss = WithLossCell(Network(), CrossEntropy(3), [1.0])
    with pytest.raises(ConfigError, match="Network does not name its parts"):
        recompute(with_loss, "all")
    recompute(with_loss, "none")
