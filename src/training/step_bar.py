"""How far a training is, as a progress bar; the log's lines say it as they do without one."""

from __future__ import annotations

from typing import Any

from mindspore.train.callback import Callback

from src.base.log_handlers import logs_to_console
from src.base.progress import format_seconds
from src.base.progress_bar import Bar
from src.state.train_state import TrainState

NEW = 0.1  # share of the latest step in the pace


class StepBar(Callback):
    """Show the steps done while a ``with`` block runs, on a terminal; the time left is at the pace of the last steps.

    It comes after the callback that counts the steps; their own time is none of the pace.
    """

    def __init__(self, state: TrainState) -> None:
        super().__init__()
        self.state, self.bar = state, Bar("trained", "steps")
        self.before, self.pace = (state.step, state.elapsed), 0.0  # seconds a step
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
