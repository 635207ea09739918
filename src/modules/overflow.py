"""Did this step overflow? By the gradients' values, or by a register of chips that saturate instead of overflowing."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, amp, nn, ops
from mindspore.ops.operations.math_ops import NPUClearFloatStatusV2, NPUGetFloatStatusV2

from src.utils.local_adapter import saturates


class FiniteByValue(nn.Cell):
    """Looks for what is not finite among the gradients: CPU, GPU, and Ascend chips that compute inf and nan."""

    advice = ""
    told_by_sums = True  # what is not finite is not so in a sum with anything else, either

    def begin(self, x: Tensor) -> Tensor:
        """Return `x`; nothing has to be prepared."""
        return x

    def construct(self, grads: tuple[Tensor, ...]) -> Tensor:
        return amp.all_finite(grads)


class FiniteByRegister(nn.Cell):
    """Asks the chip's status register, which tells whether anything overflowed since it was cleared.

    Chips that saturate turn inf into the largest number, so values tell nothing. The register is cleared before the
    forward pass and read after the backward pass; `ops.depend` keeps that order in a graph. Each chip knows about
    itself only: the result has to be compared over the ranks.
    """

    advice = (
        "; this chip tells of an overflow by its status register (NPUGetFloatStatusV2), the forward pass included: "
        "if the logged losses are finite, --force_update True goes on whatever it says"
    )
    told_by_sums = False

    def __init__(self) -> None:
        super().__init__()
        self.clear_status = NPUClearFloatStatusV2()
        self.get_status = NPUGetFloatStatusV2()
        self.zeros = Tensor(np.zeros(8), ms.int32)  # the operators' argument, (8,) int32

    def begin(self, x: Tensor) -> Tensor:
        """Return `x`, for whose use the register is cleared first."""
        return ops.depend(x, self.clear_status(self.zeros))

    def construct(self, grads: tuple[Tensor, ...]) -> Tensor:
        status = self.get_status(ops.depend(self.zeros, grads))
        return ops.equal(status, 0).all()


def create_overflow_check() -> nn.Cell:
    """Return the check that suits the device."""
    return FiniteByRegister() if saturates() else FiniteByValue()
