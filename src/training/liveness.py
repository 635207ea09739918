"""Heartbeats after every step, and after every image of an evaluation; and the check of the folder's claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindspore.train.callback import Callback

from src.base.claims import require_held
from src.distributed.heartbeat import Heartbeat
from src.utils.metrics import Evaluation


class ClaimCheck(Callback):
    """End the run before a step writes anything, if another process has taken its folder."""

    def on_train_step_end(self, run_context: Any) -> None:
        require_held()


class StepBeat(Callback):
    """Beat after a step, or after a data sink of several steps; `scripts/run_rank.py` watches the beats."""

    def __init__(self, heart: Heartbeat) -> None:
        super().__init__()
        self.heart = heart

    def on_train_step_end(self, run_context: Any) -> None:
        self.heart.beat()


def with_heartbeat(
    heart: Heartbeat, evaluate: Callable[[Callable[[], bool]], Evaluation]
) -> Callable[[Callable[[], bool]], Evaluation]:
    """Return `evaluate` with a beat whenever it checks whether to stop, that is, at every image."""

    def run(should_stop: Callable[[], bool]) -> Evaluation:
        def beat_and_ask() -> bool:
            heart.beat()
            return should_stop()

        return evaluate(beat_and_ask)

    return run
