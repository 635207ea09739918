"""Stopping a job: launchers that do not pass signals on, in which the ranks have to be asked themselves."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from src.launch.processes import JobStoppedError, run_together
from src.launch.runners import RUN_RANK, runners_below

pytestmark = pytest.mark.once
# As msrun: it starts the ranks in sessions of their own, at Ctrl-C kills them and ends with 0.
LAUNCHER = """
import os, signal, subprocess, sys
ranks = [subprocess.Popen([sys.executable, {run_rank!r}, {rank!r}, str(n)], preexec_fn=os.setsid) for n in range(2)]
def interrupted(*_):
    for rank in ranks: os.killpg(rank.pid, signal.SIGKILL)
    sys.exit(0)
signal.signal(signal.SIGINT, interrupted)
for rank in ranks: rank.wait()
signal.pause()
"""
RANK = """
import pathlib, signal, sys, time
def stop(number, _):
    time.sleep(0.5)
    pathlib.Path("saved_" + sys.argv[1]).write_text(str(number))
    sys.exit(128 + number)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, stop)
pathlib.Path("here_" + sys.argv[1]).touch()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_ranks_are_asked_and_waited_for(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    rank, launcher = tmp_path / "rank.py", tmp_path / "launcher.py"
    rank.write_text(RANK)
    launcher.write_text(LAUNCHER.format(run_rank=str(RUN_RANK), rank=str(rank)))

    def stop() -> None:
        end = time.monotonic() + 60
        while not all((tmp_path / f"here_{n}").exists() for n in range(2)) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(JobStoppedError) as caught:
        run_together([[sys.executable, str(launcher)]], [os.environ], signal_runners=True)
    thread.join()
    assert caught.value.number == number
    assert [int((tmp_path / f"saved_{n}").read_text()) for n in range(2)] == [number] * 2


def write_process(proc: Path, number: int, parent: int, *words: str) -> None:
    folder = proc / str(number)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{number} (a) name (of it) S {parent} 7 7 0 -1")
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))


def test_runners_are_told_from_what_else_there_is(tmp_path):
    write_process(tmp_path, 10, 1, "python", "msrun", "--join=True", str(RUN_RANK))
    write_process(tmp_path, 11, 10, "python", str(RUN_RANK), "train.py")
    write_process(tmp_path, 12, 11, "python", "train.py")
    write_process(tmp_path, 13, 10, "python", "-m", "src.launch.scheduler_process")
    write_process(tmp_path, 14, 10, "prted")
    write_process(tmp_path, 15, 14, "python", str(RUN_RANK), "train.py")
    write_process(tmp_path, 16, 1, "python", str(RUN_RANK), "train.py")  # of another job
    (tmp_path / "99").mkdir()  # has just ended
    assert runners_below(10, tmp_path) == [11, 15]
    assert runners_below(12, tmp_path) == []
