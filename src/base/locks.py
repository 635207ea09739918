"""Locks of the operating system on files and folders; not every file system has them, or tells other machines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

TAKING_SECONDS = 5.0  # for which one that takes a claim over holds up another one


def lock(descriptor: int) -> bool | None:
    """Lock an open file; return whether that is done, False if another process has the lock, None without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_locked(path: Path) -> bool:
    """Return whether another process has locked the file, as far as the file system tells."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return lock(descriptor) is False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine from making claims in `folder`, where the file system can; not for long."""
    descriptor, end = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), time.monotonic() + TAKING_SECONDS
    try:
        while lock(descriptor) is False and time.monotonic() < end:
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
