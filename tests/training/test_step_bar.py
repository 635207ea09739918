"""The bar of a training: its steps, and a time left that neither compilation nor the callbacks distort."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from src.base import progress_bar
from src.state.train_state import TrainState
from src.training.step_bar import StepBar
from tests.terminal_helpers import Screen, terminal

pytestmark = pytest.mark.once


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress_bar, "REDRAW_SECONDS", 0)
    with terminal(100) as found:
        monkeypatch.setattr(progress_bar, "sys", SimpleNamespace(stderr=found.stream))
        yield found


def test_steps_and_the_time_left(shown):
    state = TrainState(100, 1000, last_step=400)
    with StepBar(state) as bar:
        for step, elapsed in ((110, 300.0), (120, 305.0), (120, 305.5), (130, 310.0)):
            state.step, state.elapsed = step, elapsed
            bar.on_train_step_end(None)
        (line,) = Screen(100).feed(shown.read()).lines()
        # half a second a step, of which 270 are left; the first ten, of 300 s, do not count
        assert re.fullmatch(r"trained 130/400 steps \[#+\.+\] 32 %, 0:02:15 left, 2\.00 steps/s", line)
    assert Screen(100).feed(shown.read()).lines() == []


def test_before_the_second_step_no_time_is_told(shown):
    state = TrainState(0, 20)
    with StepBar(state) as bar:
        assert Screen(100).feed(shown.read()).lines() == [f"trained 0/20 steps [{'.' * 40}] 0 %"]
        state.step, state.elapsed = 1, 100.0
        bar.on_train_step_end(None)
        assert Screen(100).feed(shown.read()).lines() == [f"trained 1/20 steps [##{'.' * 38}] 5 %"]
