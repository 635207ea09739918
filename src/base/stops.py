"""Stopping a command by a signal: it prints one line and exits with 128 + the signal's number.

The signals are SIGINT (Ctrl-C), SIGTERM and, unless it is ignored, SIGHUP (closed terminal). Once training has begun,
it saves a checkpoint instead, see `src/state/train_state.py`.
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
LEFTOVERS = ("rank_0/om/analyze_fail.ir", "rank_0/om", "rank_0")  # MindSpore's, in the working directory
_received: list[int] = []
_saved_stderr: list[int] = []  # descriptor of the real standard error, and whether the leftovers existed before


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a process to stop; SIGHUP only if it is not ignored, as under nohup."""
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return signal.SIGTERM, signal.SIGINT, *hangup


def end_by_signals() -> None:
    """Make the first stop signal raise an exception, so that the process cleans up, and a second one end it at once.

    An uncaught exception of a signal is reported by one line. Signals that already have a handler keep it. Forked
    children get Python's default handlers.
    """
    for number in stop_signals():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise_stop)
    if sys.excepthook is not _show_exception:
        sys.excepthook = _show_exception
        os.register_at_fork(after_in_child=_restore_default_handlers)


def first_signal() -> int | None:
    """Return the number of the first stop signal that was received, if any."""
    return _received[0] if _received else None


def stop_text(number: int) -> str:
    """Return the message for a process that was stopped by a signal."""
    return f"stopped by signal {int(number)} ({signal.Signals(number).name})"


def exit_on_signals(code: int) -> None:
    """Make further signals end this process at once with `code`; only Python's own shutdown is left."""
    for number in stop_signals():
        if signal.getsignal(number) in (_raise_stop, signal.default_int_handler):
            signal.signal(number, lambda *_: os._exit(code))


def _raise_stop(number: int, _frame: Any) -> None:
    if _received:
        os._exit(128 + number)
    _received.append(number)
    _silence_stderr()
    raise KeyboardInterrupt if number == signal.SIGINT else TerminatedError(stop_text(number))


def _show_exception(kind: type[BaseException], err: BaseException, trace: TracebackType | None) -> None:
    """Show an uncaught exception; that of a signal as one line."""
    if not _received:
        sys.__excepthook__(kind, err, trace)
        return
    restore_stderr()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{stop_text(_received[0])}\n")
        sys.stderr.flush()
    os._exit(128 + _received[0])


def _silence_stderr() -> None:
    """Suppress MindSpore's long messages on standard error about an interrupted compilation or file.

    MindSpore also writes a file about the compilation; note whether it existed before.
    """
    sys.stderr.flush()
    with contextlib.suppress(OSError):
        _saved_stderr[:] = [os.dup(2), Path(LEFTOVERS[0]).exists()]
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)


def restore_stderr() -> None:
    """Undo the redirection of standard error after a signal, and remove the file that MindSpore wrote because of it."""
    if not _saved_stderr:
        return
    stream, was_there = _saved_stderr
    _saved_stderr.clear()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os.dup2(stream, 2)
    os.close(stream)
    with contextlib.suppress(OSError):
        if not was_there:
            Path(LEFTOVERS[0]).unlink()
            for folder in LEFTOVERS[1:]:
                Path(folder).rmdir()


def _restore_default_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is _raise_stop:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
