"""The peak of a process's memory, and what the machine has left."""

from __future__ import annotations

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
