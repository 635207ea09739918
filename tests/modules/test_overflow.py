"""How a step notices an overflow: by values, or by the register of chips that saturate, which is made up here."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from src.config import schema
from src.modules import overflow
from src.modules.factory import create_optimizer
from src.modules.train_warpper import TrainOneStepCell
from src.utils import local_adapter

LIMIT = 100.0  # the largest number of the made-up chip
IMAGE = Tensor(np.zeros((1,)), ms.float32)


@pytest.mark.parametrize(
    ("device", "version", "chip", "mode", "expected"),
    [
        ("CPU", (2, 8, 0), "", None, False),
        ("CPU", (2, 0, 0), "", "SATURATION_MODE", False),
        ("GPU", (2, 0, 0), "", None, False),
        ("Ascend", (2, 0, 0), "", None, True),
        ("Ascend", (2, 2, 14), "ascend910", None, True),
        ("Ascend", (2, 8, 0), "ascend910", "INFNAN_MODE", True),
        ("Ascend", (2, 8, 0), "ascend910b", None, False),
        ("Ascend", (2, 8, 0), "ascend910b", "INFNAN_MODE", False),
        ("Ascend", (2, 8, 0), "ascend910b", "SATURATION_MODE", True),
        ("Ascend", (2, 10, 0), "ascend910_93", None, False),
        ("Ascend", (2, 8, 0), "", None, True),  # unknown: as the first one, the precision mode likewise
    ],
)
def test_which_chips_saturate(monkeypatch, device, version, chip, mode, expected):
    monkeypatch.setattr(ms, "get_context", lambda name: device)
    monkeypatch.setattr(local_adapter, "mindspore_version", lambda: version)
    monkeypatch.setattr(local_adapter, "ascend_chip", lambda: chip)
    monkeypatch.delenv("MS_ASCEND_CHECK_OVERFLOW_MODE", raising=False)
    if mode:
        monkeypatch.setenv("MS_ASCEND_CHECK_OVERFLOW_MODE", mode)
    check = overflow.create_overflow_check()
    assert isinstance(check, overflow.FiniteByRegister if expected else overflow.FiniteByValue)


def test_the_chip_of_a_machine_without_one():
    assert local_adapter.ascend_chip() == ""
    assert not local_adapter.saturates()


class Clear(nn.Cell):
    """What clears the register, as NPUClearFloatStatusV2 does: (8,) in and out."""

    def __init__(self, register: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.register = register

    def construct(self, status: Tensor) -> Tensor:
        return ops.depend(status, ops.assign(self.register, ops.zeros_like(self.register)))


class Get(nn.Cell):
    """What reads the register, as NPUGetFloatStatusV2 does: (8,) in and out."""

    def __init__(self, register: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.register = register

    def construct(self, status: Tensor) -> Tensor:
        return status + self.register


class SaturatingParabola(nn.Cell):
    """Loss sum(weight ** 2) * label, at most LIMIT; that it was more is noted in the register alone."""

    def __init__(self, register: Parameter) -> None:
        super().__init__()
        self.weight = Parameter(Tensor([3.0, 4.0], ms.float32), name="weight")
        self.register = register

    def construct(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        loss = ops.reduce_sum(self.weight * self.weight) * (label + image[0])
        flag = ops.stop_gradient(ops.cast(loss > LIMIT, ms.int32))
        loss = ops.depend(loss, ops.assign(self.register, ops.maximum(self.register, flag)))
        return ops.minimum(loss, Tensor(LIMIT, ms.float32)), ops.stack((loss, loss))


def make(monkeypatch) -> tuple[TrainOneStepCell, SaturatingParabola]:
    register = Parameter(
        Tensor(np.ones(1), ms.int32), name="register", requires_grad=False
    )  # set by an earlier program
    monkeypatch.setattr(overflow, "saturates", lambda: True)
    network = SaturatingParabola(register)
    optimizer = create_optimizer(network, schema.Optimizer(weight_decay=0.0, momentum=0.0), np.full(9, 0.01))
    cell = TrainOneStepCell(network, optimizer, loss_scaler="dynamic", loss_scale=4.0).set_train(True)
    cell.overflow.clear_status, cell.overflow.get_status = Clear(register), Get(register)
    return cell, network


def run(cell: TrainOneStepCell, label: float) -> tuple[float, int, int]:
    """Train a step; return the loss scale, the updates skipped so far, and the consecutive bad steps."""
    _, _, scale, overflows, streak = cell(IMAGE, Tensor(label, ms.float32))
    return float(scale.asnumpy()), int(overflows.asnumpy()), int(streak.asnumpy())


def test_the_register_decides_and_is_cleared_before_every_step(monkeypatch):
    cell, network = make(monkeypatch)
    assert run(cell, 1.0) == (4.0, 0, 0)  # what was in the register before says nothing
    weight = network.weight.asnumpy().copy()
    np.testing.assert_allclose(weight, [3 * 0.98, 4 * 0.98], rtol=1e-6)
    assert run(cell, 9.0) == (4.0, 1, 1)  # every value is finite, and yet there was an overflow
    np.testing.assert_array_equal(network.weight.asnumpy(), weight)
    assert run(cell, 1.0) == (2.0, 1, 0)
    assert not np.array_equal(network.weight.asnumpy(), weight)


class OneOfTwoRanks(nn.Cell):
    """Mean over two ranks, the other of which says 0."""

    def construct(self, x: Tensor) -> Tensor:
        return x / 2


def test_the_register_of_another_rank_counts_as_well(monkeypatch):
    cell, network = make(monkeypatch)
    cell.over_ranks = OneOfTwoRanks()
    weight = network.weight.asnumpy().copy()
    assert run(cell, 1.0)[1:] == (1, 1)
    np.testing.assert_array_equal(network.weight.asnumpy(), weight)
