"""How much memory a training takes, said once: when its first checkpoint was written."""

from __future__ import annotations

import logging
from typing import Any

import mindspore as ms
from mindspore.train.callback import Callback

from src.base.memory import peak_memory_mb
from src.distributed.communicator import Communicator
from src.state.train_state import TrainState
from src.utils.callback import CheckpointSaver

logger = logging.getLogger(__name__)


def device_peak_mb() -> float | None:
    """Return the most memory of the device that this process has used so far, in MB (10^6 bytes).

    None on the CPU, whose memory is the host's, and where MindSpore, before 2.3, does not tell it.
    """
    if ms.get_context("device_target") == "CPU":
        return None
    for module in ("runtime", "hal"):  # the later name first: the other one is deprecated where both are
        largest = getattr(getattr(ms, module, None), "max_memory_allocated", None)
        if largest is not None:
            return largest() / 1e6
    return None


def memory_text(communicator: Communicator, host: float, device: float | None) -> str:
    """Say the peaks of this process and, of several ranks, the largest ones; all ranks call it together.

    Args:
        communicator: the ranks.
        host: the largest resident set, MB.
        device: the most memory of the device, MB; None where it is not told.
    """
    text = _peaks(host, device)
    if communicator.rank_size > 1:
        most = communicator.largest(round(host))
        most_of_device = None if device is None else communicator.largest(round(device))
        text += f"; of all {communicator.rank_size} ranks at most {_peaks(most, most_of_device)}"
    if device is None and ms.get_context("device_target") != "CPU":
        text += f"; MindSpore {ms.__version__} does not tell the device's"
    return text


def _peaks(host: float, device: float | None) -> str:
    return f"{host:.0f} MB (host)" + ("" if device is None else f", {device:.0f} MB (device)")


class PeakMemory(Callback):
    """Log the peak of memory when the first checkpoint of this process was written; every rank has this callback.

    Args:
        state: how far the run is.
        saver: writes the checkpoints; comes before this callback.
    """

    def __init__(self, state: TrainState, saver: CheckpointSaver) -> None:
        super().__init__()
        self.state, self.saver, self.is_said = state, saver, False

    def on_train_step_end(self, run_context: Any) -> None:
        if self.is_said or self.saver.saved_step != self.state.step:
            return
        self.is_said = True
        logger.info("peak memory so far: %s", memory_text(self.state.communicator, peak_memory_mb(), device_peak_mb()))
