"""Things that are no regular files, in the place of one."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path


def pipe(path: Path) -> Path:
    """Make a named pipe, with somebody at its other end: who opens it gets a few bytes and does not wait."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    def feed() -> None:
        with contextlib.suppress(FileNotFoundError):
            while True:
                end = os.open(path, os.O_WRONLY)  # waits until somebody opens it; makes no file where it is gone
                with contextlib.suppress(BrokenPipeError):
                    os.write(end, b"no picture")
                os.close(end)

    threading.Thread(target=feed, daemon=True).start()
    return path


def link_to_device(path: Path) -> Path:
    """Make a link to a device that holds nothing: reading it ends at once."""
    path.unlink(missing_ok=True)
    path.symlink_to(os.devnull)
    return path


def socket_at(path: Path) -> Path:
    """Make a socket; its name may be longer than sockets' names are."""
    path.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    return path


MAKERS = {"a named pipe": pipe, "a device": link_to_device, "a socket": socket_at}
