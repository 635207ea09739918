"""The cores of a host, and how its ranks share them."""

from __future__ import annotations

import os

import pytest

from src.utils import cores as cores_module


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
