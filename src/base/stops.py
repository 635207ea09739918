"""How a command ends when a signal asks for it: with one line and 128 + the signal's number, from its start on.

SIGINT (Ctrl-C), SIGTERM and, unless it is ignored, SIGHUP (a terminal that is closed). Training, once it has begun,
has its own way: it saves a checkpoint, see `src/state/train_state.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from src.base.errors import TerminatedError

STOP_CODES = tuple(128 + number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
REMAINS = ("rank_0/om/analyze_fail.ir", "rank_0/om", "rank_0")  # MindSpore's, below the current folder
_received: list[int] = []
_hushed: list[int] = []  # standard error, and whether there are such remains


def asking_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a process to stop; a SIGHUP that is ignored, as under nohup, is none."""
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return signal.SIGTERM, signal.SIGINT, *hangup


def end_by_signals() -> None:
    """Let the first such signal raise an exception, so that all is tidied up, and a second one end the process at once.

    Where the exception arrives at the top, one line tells of it. What handles a signal already keeps it; a process that
    was forked off ends by signals as usual.
    """
    for number in asking_signals():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise)
    if sys.excepthook is not _show:
        sys.excepthook = _show
        os.register_at_fork(after_in_child=_as_usual)


def first_signal() -> int | None:
    """Return the number of the signal that `end_by_signals` has answered, if any."""
    return _received[0] if _received else None


def stop_text(number: int) -> str:
    """Return the line for a process that a signal ends."""
    return f"stopped by signal {int(number)} ({signal.Signals(number).name})"


def end_quietly(code: int) -> None:
    """Let further signals end this process at once with `code`: what is left is Python's own clearing up."""
    for number in asking_signals():
        if signal.getsignal(number) in (_raise, signal.default_int_handler):
            signal.signal(number, lambda *_: os._exit(code))


def _raise(number: int, _frame: Any) -> None:
    if _received:
        os._exit(128 + number)
    _received.append(number)
    _hush()
    raise KeyboardInterrupt if number == signal.SIGINT else TerminatedError(stop_text(number))


def _show(kind: type[BaseException], err: BaseException, trace: TracebackType | None) -> None:
    """Show an exception that nobody caught: of a signal one line."""
    if not _received:
        sys.__excepthook__(kind, err, trace)
        return
    tidy_up()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{stop_text(_received[0])}\n")
        sys.stderr.flush()
    os._exit(128 + _received[0])


def _hush() -> None:
    """Keep off standard error what MindSpore says, at length, of a compilation or of a file that is interrupted.

    Of a compilation it writes a file, too, which is told from what was there before.
    """
    sys.stderr.flush()
    with contextlib.suppress(OSError):
        _hushed[:] = [os.dup(2), Path(REMAINS[0]).exists()]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def tidy_up() -> None:
    """Give standard error back after `end_by_signals` has answered a signal, and remove what MindSpore left of it."""
    if not _hushed:
        return
    stream, was_there = _hushed
    _hushed.clear()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os.dup2(stream, 2)
    os.close(stream)
    with contextlib.suppress(OSError):
        if not was_there:
            Path(REMAINS[0]).unlink()
            for folder in REMAINS[1:]:
                Path(folder).rmdir()


def _as_usual() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
