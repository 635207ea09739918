"""Several passes of the train cell per step: the callbacks run at updates only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from mindspore.train.callback import Callback

from src.state.train_state import StepOutputs, TrainState


class AtUpdates(Callback):
    """Call `callbacks` at the passes that update the weights; a data sink ends with such a pass.

    Args:
        state: progress of the run.
        callbacks: the callbacks of a step, in order.
        between: called after every other pass.
    """

    def __init__(self, state: TrainState, callbacks: Sequence[Callback], between: Callable[[], None]) -> None:
        super().__init__()
        self.state, self.callbacks, self.between = state, callbacks, between

    def on_train_begin(self, run_context: Any) -> None:
        for callback in self.callbacks:
            callback.on_train_begin(run_context)

    def on_train_step_begin(self, run_context: Any) -> None:
        for callback in self.callbacks:
            callback.on_train_step_begin(run_context)  # counts the time that each pass waits for its batch

    def on_train_step_end(self, run_context: Any) -> None:
        arguments = run_context.original_args()
        if arguments.cur_step_num % self.state.accumulate_steps == 0:
            for callback in self.callbacks:
                callback.on_train_step_end(run_context)
            return
        StepOutputs(*arguments.net_outputs).bad_streak.asnumpy()  # waits for the device, as at a step
        now = time.monotonic()
        self.state.elapsed += now - self.state.callbacks_done
        self.state.callbacks_done = now
        self.between()
