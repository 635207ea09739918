"""Locks on files and folders (flock). Not every file system has them or shares them with other machines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

TAKING_SECONDS = 5.0  # for which a process that takes over a claim can delay another


def lock(descriptor: int) -> bool | None:
    """Lock an open file; return True on success, False if another process has the lock, None without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_locked(path: Path) -> bool:
    """Return whether another process is known to have locked the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return lock(descriptor) is False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine from making claims in `folder`, for at most `TAKING_SECONDS` each.

    Has no effect on file systems without locks.
    """
    descriptor, end = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), time.monotonic() + TAKING_SECONDS
    try:
        while lock(descriptor) is False and time.monotonic() < end:
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
