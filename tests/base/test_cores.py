"""The cores of a host, and how its ranks share them."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest

from src.base import cores as cores_module


def test_avx512_is_read_from_the_flags(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags : fpu sse4_2 avx2 avx512f avx512bw\n", encoding="utf-8")
    assert cores_module.cpu_has_avx512(path)
    path.write_text("flags : fpu avx2 my_avx512f_not\n", encoding="utf-8")
    assert not cores_module.cpu_has_avx512(path)
    assert not cores_module.cpu_has_avx512(tmp_path / "missing")


def test_usable_cores_respect_the_affinity():
    assert cores_module.usable_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("told", "processes", "expected"),
    [(None, 1, 8), (None, 3, 2), (None, 9, 1), ("3", 1, 3), ("3", 4, 3), ("4,2", 1, 4), ("0", 2, 4), ("all", 1, 8)],
)
def test_omp_num_threads_wins_over_the_cores(monkeypatch, told, processes, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert cores_module.usable_threads(processes) == expected


@pytest.mark.parametrize(
    ("cores", "place", "expected"),
    [
        (8, (1, 2), {4, 5, 6, 7}),
        (8, (2, 3), {4, 5}),
        (2, (3, 4), None),
        (8, (0, 1), None),
    ],
)
def test_the_cores_of_a_host_are_divided(monkeypatch, cores, place, expected):
    taken = []
    monkeypatch.delenv(cores_module.CORES_DIVIDED, raising=False)
    monkeypatch.setattr(cores_module, "_cores_are_divided", False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, mine: taken.append(set(mine)))
    cores_module.divide_cores(*place)
    cores_module.divide_cores(*place)  # the process that a rank starts divides no further
    assert taken == ([expected] if expected else [])
    monkeypatch.delenv(cores_module.CORES_DIVIDED, raising=False)


class Waiting:
    """A thread that waits, and how it is scheduled."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.end.wait)
        self.thread.start()

    def scheduled(self) -> tuple[int, set[int]]:
        return os.sched_getscheduler(self.thread.native_id), os.sched_getaffinity(self.thread.native_id)

    def stop(self) -> None:
        self.end.set()
        self.thread.join()


def test_threads_take_turns_for_a_while():
    before = os.sched_getscheduler(0), os.sched_getaffinity(0)
    turns = os.SCHED_BATCH, {min(before[1])}
    threads = [Waiting()]
    try:
        with contextlib.suppress(RuntimeError), cores_module.one_thread_at_a_time():
            threads.append(Waiting())
            assert (os.sched_getscheduler(0), os.sched_getaffinity(0)) == turns
            assert [thread.scheduled() for thread in threads] == [before, turns]
            raise RuntimeError
        assert (os.sched_getscheduler(0), os.sched_getaffinity(0)) == before
        assert [thread.scheduled() for thread in threads] == [before, before]
    finally:
        for thread in threads:
            thread.stop()


def test_threads_go_on_where_the_system_refuses(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with cores_module.one_thread_at_a_time():
        pass
