"""Measuring and releasing a process's memory, with the standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path

STATUS, MEMINFO = Path("/proc/self/status"), Path("/proc/meminfo")


def peak_memory_mb() -> float:
    """Return the largest resident set of this process so far, in MB (10^6 bytes)."""
    found = _kilobytes(STATUS, "VmHWM:")  # unlike getrusage's value, it is not inherited from the parent process
    return usage_memory_mb(resource.RUSAGE_SELF) if found is None else found * 1024 / 1e6


def usage_memory_mb(who: int) -> float:
    """Return the largest resident set that getrusage reports for `who`, in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(who).ru_maxrss * unit / 1e6


def free_memory_mb() -> float | None:
    """Return how much a process can allocate before the system swaps, in MB (10^6 bytes); None if it is unknown."""
    found = _kilobytes(MEMINFO, "MemAvailable:")
    return None if found is None else found * 1024 / 1e6


def give_back_freed_memory() -> None:
    """Return freed memory to the system, which glibc would keep; does nothing with another C library."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _kilobytes(path: Path, name: str) -> int | None:
    """Return the number after `name` on the line that begins with it; None without such a file or line."""
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return None
