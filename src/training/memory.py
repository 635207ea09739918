"""Log the peak memory of a training once, after its first checkpoint."""

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
    """Return the peak device memory of this process so far, in MB (10^6 bytes).

    None on the CPU, which uses the host's memory, and with MindSpore before 2.3, which does not report it.
    """
    if ms.get_context("device_target") == "CPU":
        return None
    for module in ("runtime", "hal"):  # the newer name first; the older one is deprecated
        largest = getattr(getattr(ms, module, None), "max_memory_allocated", None)
        if largest is not None:
            return largest() / 1e6
    return None


def memory_text(communicator: Communicator, host: float, device: float | None) -> str:
    """Return the peaks of this process and, with several ranks, their maximum, as text; all ranks must call it.

    Args:
        communicator: the ranks.
        host: peak resident set size, MB.
        device: peak device memory, MB; None if it is not known.
    """
    text = _peaks(host, device)
    if communicator.rank_size > 1:
        most = communicator.largest(round(host))
        most_of_device = None if device is None else communicator.largest(round(device))
        text += f"; of all {communicator.rank_size} ranks at most {_peaks(most, most_of_device)}"
    if device is None and ms.get_context("device_target") != "CPU":
        text += f"; MindSpore {ms.__version__} does not report the device's"
    return text


def _peaks(host: float, device: float | None) -> str:
    return f"{host:.0f} MB (host)" + ("" if device is None else f", {device:.0f} MB (device)")


class PeakMemory(Callback):
    """Log the peak memory after the first checkpoint of this process; every rank needs this callback.

    Args:
        state: progress of the run.
        saver: writes the checkpoints; must come before this callback.
    """

    def __init__(self, state: TrainState, saver: CheckpointSaver) -> None:
        super().__init__()
        self.state, self.saver, self.is_logged = state, saver, False

    def on_train_step_end(self, run_context: Any) -> None:
        if self.is_logged or self.saver.saved_step != self.state.step:
            return
        self.is_logged = True
        logger.info("peak memory so far: %s", memory_text(self.state.communicator, peak_memory_mb(), device_peak_mb()))
