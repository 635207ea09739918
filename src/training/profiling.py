"""Profile a few steps of a training run with MindSpore's profiler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindspore.train.callback import Callback

from src.base.files import make_folder
from src.state.train_state import TrainState
from src.utils.local_adapter import start_profiler

logger = logging.getLogger(__name__)

SKIPPED_STEPS, PROFILED_STEPS = 5, 10  # the first steps compile and warm up


class ProfileSteps(Callback):
    """Profile steps 6 to 15 of this run, extended to whole data sinks.

    Args:
        state: progress of the run.
        folder: folder for the profiler's files.
    """

    def __init__(self, state: TrainState, folder: Path) -> None:
        super().__init__()
        self.state, self.folder = state, folder
        self.first = state.step
        self.began: int | None = None
        self.finish: Callable[[], None]  # from `began` on
        self.done = False

    def on_train_step_end(self, run_context: Any) -> None:
        steps = self.state.step - self.first
        if self.began is None and not self.done and steps >= SKIPPED_STEPS and not self._is_last_step():
            make_folder(self.folder)
            self.began, self.finish = self.state.step, start_profiler(self.folder)
        elif self.began is not None and (self.state.step - self.began >= PROFILED_STEPS or self._is_last_step()):
            self.finish()
            logger.info("profile of steps %d to %d: %s", self.began + 1, self.state.step, self.folder)
            self.began, self.done = None, True

    def _is_last_step(self) -> bool:
        return self.state.step == self.state.last_step or self.state.stopping
