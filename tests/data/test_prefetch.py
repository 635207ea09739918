"""Reading ahead: order, bounds, errors, and the number of workers."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from src.base.errors import DataError
from src.data import prefetch
from src.data.prefetch import map_ahead, usable_workers


def test_map_ahead_keeps_the_order():
    def slow_if_even(item):
        time.sleep(0.004 * (item % 2 == 0))
        return item

    assert list(map_ahead(slow_if_even, range(30), workers=3)) == list(range(30))
    assert list(map_ahead(slow_if_even, [], workers=2)) == []


def test_map_ahead_works_in_parallel_but_not_far_ahead():
    started, both = [], threading.Barrier(2, timeout=10)

    def function(item):
        started.append(item)
        if item < 2:
            both.wait()  # passes only if two threads are at work
        return item

    results = map_ahead(function, itertools.count(), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.1)
    assert len(started) <= 3 + 2 * 2
    results.close()


def test_map_ahead_raises_where_the_result_is_due():
    def function(item):
        if item == 3:
            raise DataError("three")
        return item

    results = map_ahead(function, range(10), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="three"):
        next(results)


def test_map_ahead_leaves_no_thread_behind():
    def names():
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]

    results = map_ahead(lambda item: item, itertools.count(), workers=2)
    next(results)
    assert names()
    results.close()
    deadline = time.monotonic() + 10
    while names() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not names()


def test_workers_are_cut_to_cores_and_work(monkeypatch):
    monkeypatch.setattr(prefetch, "usable_cores", lambda: 12)
    assert usable_workers(8, 1000) == 8
    assert usable_workers(32, 1000) == 12
    assert usable_workers(8, 1000, ranks_on_host=4) == 3
    assert usable_workers(8, 1000, ranks_on_host=24) == 1
    assert usable_workers(8, 5) == 5
    assert usable_workers(8, 0) == 1
