"""Overflow checks: by the gradients' values, or by the status register of chips that saturate instead."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, amp, nn, ops
from mindspore.ops.operations.math_ops import NPUClearFloatStatusV2, NPUGetFloatStatusV2

from src.utils.local_adapter import saturates


class FiniteByValue(nn.Cell):
    """Check that all gradients are finite; for CPU, GPU, and Ascend chips that compute inf and nan."""

    advice = ""
    survives_sums = True  # a value that is not finite makes any sum not finite

    def begin(self, x: Tensor) -> Tensor:
        """Return `x`; this check needs no preparation."""
        return x

    def construct(self, grads: tuple[Tensor, ...]) -> Tensor:
        return amp.all_finite(grads)


class FiniteByRegister(nn.Cell):
    """Check the chip's status register, which is set if anything overflowed since it was cleared.

    Chips that saturate replace inf by the largest number, so the values do not show an overflow. The register is
    cleared before the forward pass and read after the backward pass; `ops.depend` keeps that order in a graph. Each
    chip reports its own overflows only, so the result has to be combined over the ranks.
    """

    advice = (
        "; this chip reports overflows by its status register (NPUGetFloatStatusV2), the forward pass included: "
        "if the logged losses are finite, --force_update True ignores the register"
    )
    survives_sums = False

    def __init__(self) -> None:
        super().__init__()
        self.clear_status = NPUClearFloatStatusV2()
        self.get_status = NPUGetFloatStatusV2()
        self.zeros = Tensor(np.zeros(8), ms.int32)  # argument of both operators, (8,) int32

    def begin(self, x: Tensor) -> Tensor:
        """Return `x`; the register is cleared before `x` is used."""
        return ops.depend(x, self.clear_status(self.zeros))

    def construct(self, grads: tuple[Tensor, ...]) -> Tensor:
        status = self.get_status(ops.depend(self.zeros, grads))
        return ops.equal(status, 0).all()


def create_overflow_check() -> nn.Cell:
    """Return the overflow check for the device."""
    return FiniteByRegister() if saturates() else FiniteByValue()
