"""Signs of life while training and evaluating: a slow evaluation is no hang, one that stands still is."""

from __future__ import annotations

import pytest

from src.distributed.heartbeat import Heartbeat
from src.training.liveness import StepBeat, with_heartbeat


class Count(Heartbeat):
    """A heart that counts its beats."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1


def test_a_finished_step_is_a_sign():
    heart = Count()
    callback = StepBeat(heart)
    callback.on_train_step_begin(None)
    assert heart.beats == 0
    callback.on_train_step_end(None)
    assert heart.beats == 1


@pytest.mark.parametrize("stop", [True, False])
def test_an_evaluation_gives_a_sign_at_every_image(stop):
    heart, answers = Count(), []

    def evaluate(should_stop):
        answers.extend((should_stop(), heart.beats) for _ in range(3))
        return "result"

    assert with_heartbeat(heart, evaluate)(lambda: stop) == "result"
    assert answers == [(stop, 1), (stop, 2), (stop, 3)]
