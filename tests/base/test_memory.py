"""The peak of a process's memory, and what the machine has left."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest

from src.base import memory
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
CHILD = """
import os
from src.base.memory import peak_memory_mb
before = peak_memory_mb()
kept = bytearray(os.urandom(1)) * 150_000_000
during = peak_memory_mb()
del kept
print(before, during, peak_memory_mb())
"""


def test_the_peak_is_the_processes_own_and_stays():
    ballast = bytearray(b"x") * 400_000_000  # of this process: the child begins as a copy of it
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, capture_output=True, text=True, check=True)
    before, during, after = map(float, done.stdout.split())
    assert before < 100
    assert 145 < during - before < 160
    assert abs(after - during) < 2  # Linux counts pages a little late
    assert memory.peak_memory_mb() > len(ballast) / 1e6


@pytest.mark.parametrize(("system", "expected"), [("linux", 2.048), ("darwin", 0.002)])
def test_without_proc_getrusage_tells_it_in_the_systems_unit(monkeypatch, tmp_path, system, expected):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    monkeypatch.setattr(memory.sys, "platform", system)
    monkeypatch.setattr(memory.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2000 + who))
    assert memory.peak_memory_mb() == expected
    children = (2000 + resource.RUSAGE_CHILDREN) * expected / 2000
    assert memory.usage_memory_mb(resource.RUSAGE_CHILDREN) == pytest.approx(children)


def test_what_is_free_is_what_linux_calls_available(monkeypatch, tmp_path):
    table = tmp_path / "meminfo"
    monkeypatch.setattr(memory, "MEMINFO", table)
    assert memory.free_memory_mb() is None
    table.write_text("MemTotal:       24000000 kB\nMemFree:         1000000 kB\n", encoding="utf-8")
    assert memory.free_memory_mb() is None
    table.write_text("MemFree:         1000000 kB\nMemAvailable:    5000000 kB\n", encoding="utf-8")
    assert memory.free_memory_mb() == 5120


FREEING = """
import ctypes
from pathlib import Path
from src.base.memory import give_back_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
held = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
blocks = [libc.malloc(100_000) for _ in range(2000)]  # too small for pages of their own
for block in blocks:
    ctypes.memset(ctypes.c_void_p(block), 1, 100_000)
for block in blocks[:-1]:  # the last one keeps the heap from shrinking
    libc.free(ctypes.c_void_p(block))
before = held()
give_back_freed_memory()
print(before, held())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="of glibc alone")
def test_what_was_freed_below_memory_in_use_is_given_back():
    done = subprocess.run([sys.executable, "-c", FREEING], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before > 200
    assert after < before - 190


def test_without_glibc_nothing_is_given_back(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.give_back_freed_memory()
