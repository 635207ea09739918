"""Waiting for data under a sink: the estimate from one end of the queue against a simulation of both ends."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from src.state import data_wait
from src.state.data_wait import Feed, compare_waits, wait_text
from tests.rank_threads import on_ranks

pytestmark = pytest.mark.once


def simulate(making: Sequence[float], steps: Sequence[float], *, room: int, sink: int, begin: float = 0.0) -> tuple:
    """Play a feed, a queue with `room` batches and a device that takes them; return what each of them sees.

    Returns (asked, arrived) of each batch, (begin, end) of each sink, and what the device truly waited in each.
    """
    asked, arrived, put, taken, sinks, waits = [], [], [], [], [], []
    done = begin
    for i, (make, step) in enumerate(zip(making, steps)):
        asked.append(put[-1] if put else 0.0)
        arrived.append(asked[-1] + make)
        put.append(max(arrived[-1], taken[i - room] if i >= room else 0.0))
        if i % sink == 0:
            sinks.append([done, done])
            waits.append(0.0)
        taken.append(max(put[-1], done))
        waits[-1] += taken[-1] - done
        done = taken[-1] + step
        sinks[-1][1] = done
    return list(zip(asked, arrived)), sinks, waits


def estimate(monkeypatch, times: list, sinks: list, sink: int) -> list[float]:
    """Return what `Feed` makes of the same times, told to it by its clock."""
    clock = iter([*itertools.chain.from_iterable(times), times[-1][1]])
    monkeypatch.setattr(data_wait.time, "monotonic", lambda: next(clock))
    feed = Feed()
    assert list(feed.watch(range(len(times)))) == list(range(len(times)))
    return [feed.waiting_seconds(sink, begin, end) for begin, end in sinks]


@pytest.mark.parametrize("room", [1, 2, 16])
@pytest.mark.parametrize(
    ("make", "step"),
    [
        (0.3, 0.1),  # the data are slower by far
        (0.11, 0.1),  # hardly slower
        (0.0, 0.1),
        (0.05, 0.1),
    ],
)
def test_a_steady_feed(monkeypatch, make, step, room):
    times, sinks, waits = simulate([make] * 60, [step] * 60, room=room, sink=10)
    np.testing.assert_allclose(estimate(monkeypatch, times, sinks, 10), waits, atol=1e-9)
    assert waits[-1] == pytest.approx(10 * max(0.0, make - step))


def test_a_disk_that_stalls_once(monkeypatch):
    making = [0.01] * 60
    making[34] = 5.0
    times, sinks, waits = simulate(making, [0.1] * 60, room=2, sink=10)
    assert [round(wait, 2) for wait in waits] == [0.01, 0, 0, 4.7, 0, 0]  # a step ran, two batches were there
    np.testing.assert_allclose(estimate(monkeypatch, times, sinks, 10), waits, atol=1e-9)


@pytest.mark.parametrize("slow_feed", [False, True])
def test_compiling_is_no_waiting(monkeypatch, slow_feed):
    make = 0.3 if slow_feed else 0.01
    times, sinks, waits = simulate([make] * 40, [200.1] + [0.1] * 39, room=2, sink=10)
    found = estimate(monkeypatch, times, sinks, 10)
    assert waits[0] - 1e-9 <= found[0] <= 10 * make + 1e-9  # at most the time the feed took at all
    np.testing.assert_allclose(found[1:], waits[1:], atol=1e-9)


def test_what_comes_before_a_sink_is_not_its_waiting(monkeypatch):
    """An evaluation comes first: two batches wait in the queue and one before it, seven are made while training."""
    times, sinks, waits = simulate([1.0] * 10, [0.1] * 10, room=2, sink=10, begin=50.0)
    assert waits[0] == pytest.approx(7 * 1.0 - 9 * 0.1)
    np.testing.assert_allclose(estimate(monkeypatch, times, sinks, 10), waits, atol=1e-9)


def test_steps_and_batches_that_vary(monkeypatch):
    rng = np.random.default_rng(0)
    for mean in (0.05, 0.1, 0.2):
        making, steps = mean * rng.uniform(0.5, 1.5, 500), 0.1 * rng.uniform(0.9, 1.1, 500)
        times, sinks, waits = simulate(making, steps, room=2, sink=10)
        found = sum(estimate(monkeypatch, times, sinks, 10))
        assert found == pytest.approx(sum(waits), abs=0.05 * sinks[-1][1])  # 5 % of the whole time


def test_a_new_pass_over_the_data_begins_anew(monkeypatch):
    """MindSpore takes a batch for its type and shape before it trains, and goes on holding that pass."""
    clock = iter(range(100))
    monkeypatch.setattr(data_wait.time, "monotonic", lambda: float(next(clock)))
    feed = Feed()
    first = feed.watch("abc")
    next(first)  # asked at 0, there at 1
    second = feed.watch("abc")
    next(second)  # 2, 3
    next(first)  # 4, 5
    next(second)  # 6, 7
    assert feed.waiting_seconds(2, 2.0, 8.0) == 2.0  # a second for each of the two batches
    assert feed.waiting_seconds(2, 8.0, 9.0) == 0.0  # nothing is known


def test_the_slowest_rank_is_named():
    waits = [0.25, 350.0, 0.0015]
    found = on_ranks(3, lambda ranks: compare_waits(waits[ranks.rank], ranks))
    assert found == 3 * [{"data_wait_ms_min": 0.002, "data_wait_ms_max": 350.0, "data_wait_rank": 1}]
    assert wait_text({"data_wait_ms": 0.25, **found[0]}) == "0.0 to 350.0 ms a step, the longest on rank 1"
    assert on_ranks(1, lambda ranks: compare_waits(5.0, ranks)) == [{}]
    assert wait_text({"data_wait_ms": 5.0}) == "5.0 ms a step"
