"""The progress bar of a training; the log is the same with and without it."""

from __future__ import annotations

from typing import Any

from mindspore.train.callback import Callback

from src.base.log_handlers import logs_to_console
from src.base.progress import format_seconds
from src.base.progress_bar import Bar
from src.state.train_state import TrainState

NEW = 0.1  # weight of the latest step in the moving average of the pace


class StepBar(Callback):
    """Show the finished steps on a terminal during a ``with`` block, with the time left at the recent pace.

    It must come after the callback that counts the steps. The pace excludes the time spent in callbacks.
    """

    def __init__(self, state: TrainState) -> None:
        super().__init__()
        self.state, self.bar = state, Bar("trained", "steps")
        self.before, self.pace = (state.step, state.elapsed), 0.0  # seconds per step
        self.compiled = False

    def __enter__(self) -> StepBar:
        self.bar.wanted = logs_to_console()
        self.bar.__enter__()
        self.bar.show(self.state.step, self.state.last_step)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.__exit__(*error)

    def on_train_step_end(self, run_context: Any) -> None:
        step, elapsed = self.state.step, self.state.elapsed
        steps = step - self.before[0]
        if steps and self.compiled:  # the first step, or data sink, includes compilation
            latest = (elapsed - self.before[1]) / steps
            self.pace = (1 - NEW) * self.pace + NEW * latest if self.pace else latest
        if steps:
            self.before, self.compiled = (step, elapsed), True
        left = f"{format_seconds((self.state.last_step - step) * self.pace)} left" if self.pace else ""
        rate = f"{1 / self.pace:.2f} steps/s" if self.pace else ""
        self.bar.show(step, self.state.last_step, left, rate)
