"""A pseudo-terminal, and what a person would see on it; shares no code with what draws the bars."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import TextIO


class Screen:
    """The lines of a terminal after text with carriage returns, line feeds and "erase to the end" was written to it.

    Args:
        width: cells of a line; what is longer is wrapped.
    """

    def __init__(self, width: int) -> None:
        self.width, self.rows, self.row, self.column = width, [[]], 0, 0

    def feed(self, text: str) -> Screen:
        """Write `text`."""
        for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.|\n|\r", text):
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self._down()
            elif part == "\x1b[J":
                del self.rows[self.row + 1 :], self.rows[self.row][self.column :]
            elif part.startswith("\x1b"):
                raise AssertionError(f"unexpected sequence {part!r}")
            else:
                self._put(part)
        return self

    def _put(self, letter: str) -> None:
        if self.column == self.width:
            self.column = 0
            self._down()
        row = self.rows[self.row]
        row += [" "] * (self.column - len(row))
        row[self.column : self.column + 1] = letter
        self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def lines(self) -> list[str]:
        """Return what is to be seen, without empty lines at the end."""
        text = ["".join(row).rstrip() for row in self.rows]
        while text and not text[-1]:
            text.pop()
        return text


class Terminal:
    """A pseudo-terminal of `width` cells: `stream` is the program's end of it."""

    def __init__(self, width: int, stream: TextIO, master: int) -> None:
        self.stream, self.master, self.text = stream, master, ""
        self.resize(width)

    def resize(self, width: int) -> None:
        """Give it another width."""
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    def read(self) -> str:
        """Return all that was written to it so far."""
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # nobody writes any more
                data = b""
            if not data:
                break
            self.text += data.decode()
        return self.text


@contextlib.contextmanager
def terminal(width: int = 80) -> Iterator[Terminal]:
    """Yield a pseudo-terminal."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8", errors="replace") as stream:
        yield Terminal(width, stream, master)
    with contextlib.suppress(OSError):
        os.close(master)


def start_on(shown: Terminal, code: str, *, cwd: str, stdout: TextIO | None = None) -> subprocess.Popen:
    """Start Python with `code`, its session's terminal being `shown`; standard output may go elsewhere."""
    import_first = "import fcntl, termios; fcntl.ioctl(2, termios.TIOCSCTTY, 0)\n"
    return subprocess.Popen(
        [sys.executable, "-c", import_first + code],
        cwd=cwd,
        stdin=shown.stream,
        stdout=stdout or shown.stream,
        stderr=shown.stream,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )
