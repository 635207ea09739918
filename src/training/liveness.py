"""A sign of life after every finished step, and during an evaluation after every image; and whose the folder is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindspore.train.callback import Callback

from src.base.claims import require_held
from src.distributed.heartbeat import Heartbeat
from src.utils.metrics import Evaluation


class ClaimCheck(Callback):
    """End the run before anything of a step is written, if its folder was taken by another process meanwhile."""

    def on_train_step_end(self, run_context: Any) -> None:
        require_held()


class StepBeat(Callback):
    """Beat when a step, or a data sink of several, is done; what watches is `scripts/run_rank.py`."""

    def __init__(self, heart: Heartbeat) -> None:
        super().__init__()
        self.heart = heart

    def on_train_step_end(self, run_context: Any) -> None:
        self.heart.beat()


def beating(
    heart: Heartbeat, evaluate: Callable[[Callable[[], bool]], Evaluation]
) -> Callable[[Callable[[], bool]], Evaluation]:
    """Return `evaluate` with a beat whenever it asks whether to give up, which it does at every image."""

    def run(should_stop: Callable[[], bool]) -> Evaluation:
        def beat_and_ask() -> bool:
            heart.beat()
            return should_stop()

        return evaluate(beat_and_ask)

    return run
