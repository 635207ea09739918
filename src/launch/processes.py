"""Run processes together: if one fails, or this process is asked to stop, all of them are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.base.stops import stop_signals
from src.distributed.child_process import end_with_parent
from src.launch.outputs import lasting_outputs
from src.launch.runners import runners_below

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 15.0  # from the failure of one process until the others are killed
REPORT_START = "error: rank "


class JobStoppedError(Exception):
    """The processes failed after signal `number` asked this one to stop.

    `code` is the exit code of the first that failed.
    """

    def __init__(self, code: int, number: int) -> None:
        super().__init__(code, number)
        self.code, self.number = code, number


def run_together(
    commands: Sequence[Sequence[str]],
    environments: Sequence[Mapping[str, str]],
    *,
    logs: Sequence[Path | None] = (),
    shown: Path | None = None,
    reports: Path | None = None,
    signal_runners: bool = False,
) -> int:
    """Run the commands in parallel; return 0, or the exit code of the first that failed.

    Args:
        commands: the commands.
        environments: environment variables of each command.
        logs: a file for the standard output of each command; that of the first, or of all without files, goes to this
            process's instead.
        shown: a file to copy to standard output while it is being written.
        reports: folder whose ``worker_*.log`` hold the reports of `scripts/run_rank.py`, shown after a failure.
        signal_runners: send signals to the ranks' runners below the processes, as long as there are any.

    Raises:
        JobStoppedError: the processes failed after SIGTERM, SIGINT or SIGHUP.
    """
    with lasting_outputs() as outputs:
        processes = [
            _start(command, environment, log, outputs, shared=index == 0)
            for index, (command, environment, log) in enumerate(
                zip(commands, environments, logs or [None] * len(commands))
            )
        ]
        with _forwarding_signals(processes, signal_runners) as received, _showing(shown):
            code = _wait(processes, received if signal_runners else ())
    if code and reports:
        _show_reports(reports)
    if code and received:
        raise JobStoppedError(code, received[0])
    return code


@contextlib.contextmanager
def _forwarding_signals(processes: Sequence[subprocess.Popen], signal_runners: bool) -> Iterator[list[int]]:
    """Forward signals that ask to stop to the processes within the block; yield the list of signals received so far.

    Launchers get SIGTERM instead of SIGHUP.
    """
    received: list[int] = []

    def forward(number: int, _frame: Any) -> None:
        received.append(number)
        runners = [runner for process in processes for runner in runners_below(process.pid)] if signal_runners else []
        if not runners:
            _send(processes, signal.SIGTERM if signal_runners or number == signal.SIGHUP else number)
        for runner in runners:
            with contextlib.suppress(ProcessLookupError):
                os.kill(runner, number)

    handlers = {number: signal.signal(number, forward) for number in stop_signals()}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path | None,
    outputs: Mapping[str, int],
    *,
    shared: bool,
) -> subprocess.Popen:
    """Start one process in a session of its own; with `shared` it writes to this process's output, not to `log`."""
    options: dict[str, Any] = {"env": dict(environment), "stdin": subprocess.DEVNULL, **outputs}
    with contextlib.ExitStack() as stack:
        if log is not None and not shared:
            options["stdout"] = stack.enter_context(log.open("wb"))
        return subprocess.Popen(
            command, start_new_session=True, preexec_fn=lambda: end_with_parent(signal.SIGTERM), **options
        )


def _wait(processes: Sequence[subprocess.Popen], stopped: Sequence[int] = ()) -> int:
    """Wait for all processes; after a failure the others get SIGTERM, and some seconds later SIGKILL.

    If `stopped` holds a signal, the processes are launchers and get SIGTERM once their ranks have ended.
    """
    code, failed_at = 0, 0.0
    while True:
        codes = [process.poll() for process in processes]
        failed = next(filter(None, codes), 0)
        if None not in codes:
            break
        if failed and not code:
            code, failed_at = failed, time.monotonic()
            _send(processes, signal.SIGTERM)
        elif code and time.monotonic() - failed_at > PATIENCE_SECONDS:
            _send(processes, signal.SIGKILL)
        elif stopped and not any(runners_below(process.pid) for process in processes):
            _send(processes, signal.SIGTERM)
        time.sleep(POLL_SECONDS)
    code = code or failed
    return 128 - code if code < 0 else code


def _send(processes: Sequence[subprocess.Popen], number: int) -> None:
    """Send a signal to the processes still running; SIGKILL also goes to the processes that they started."""
    for process in processes:
        if process.poll() is None:
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)


@contextlib.contextmanager
def _showing(path: Path | None) -> Iterator[None]:
    """Copy what is written to the file, if one is given, to standard output within the block."""
    if path is None:
        yield
        return
    finished = threading.Event()
    follower = threading.Thread(target=_follow, args=(path, finished))
    follower.start()
    try:
        yield
    finally:
        finished.set()
        follower.join()


def _follow(path: Path, finished: threading.Event) -> None:
    """Copy what is written to the file to standard output until `finished` is set."""
    with path.open("rb") as stream:
        while True:
            last_round = finished.is_set()
            sys.stdout.buffer.write(stream.read())
            sys.stdout.flush()
            if last_round:
                return
            finished.wait(POLL_SECONDS)


def _show_reports(folder: Path) -> None:
    """Write the earliest report of a failed rank to standard error."""
    for path in sorted(folder.glob("worker_*.log"), key=lambda path: path.stat().st_mtime):
        text = path.read_text(encoding="utf-8", errors="replace")
        if REPORT_START in text:
            sys.stderr.write(text[text.index(REPORT_START) :])
            return
