"""How commands end when a signal or a full disk stops them: exit code and lines, seen from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
LINES = {
    signal.SIGTERM: "stopped by signal 15 (SIGTERM)",
    signal.SIGINT: "stopped by signal 2 (SIGINT)",
    signal.SIGHUP: "stopped by signal 1 (SIGHUP)",
}
HEAD = "import sys, time, os, signal\nfrom pathlib import Path\nfrom src.utils.entry import run_entry\n"


def start(code: str, folder: Path, **options) -> subprocess.Popen:
    """Start a program that has the frame of an entry script."""
    words = [sys.executable, "-c", HEAD + code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, cwd=folder, env=environment, **{**pipes, **options})


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "script"),
    [
        (signal.SIGTERM, "train.py"),
        (signal.SIGINT, "export.py"),
        (signal.SIGHUP, "scripts/predict.py"),
    ],
)
def test_a_signal_while_the_imports_run(tmp_path, number, script):
    (tmp_path / "yaml.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    words, environment = [sys.executable, str(ROOT / script), "--help"], {**os.environ, "PYTHONPATH": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env=environment, **pipes)
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + number, "", f"{LINES[number]}\n")


@pytest.mark.parametrize("number", list(LINES))
def test_a_signal_while_a_command_works(tmp_path, number):
    """What is half done is tidied up; a library that makes another exception of it changes nothing."""
    code = (
        "def main(argv):\n"
        "    try:\n        print('here', flush=True)\n        time.sleep(60)\n"
        "    except BaseException as err:\n        Path('tidied').touch()\n"
        "        os.write(2, b'[ERROR] noise of a library\\n')\n"
        "        raise RuntimeError('of a library') from err\n"
        "run_entry(main)"
    )
    process = start(code, tmp_path)
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, f"{LINES[number]}\n")
    assert (tmp_path / "tidied").exists()


def test_a_second_signal_ends_at_once(tmp_path):
    code = (
        "def main(argv):\n"
        "    try:\n        print('here', flush=True)\n        time.sleep(60)\n"
        "    finally:\n        print('tidying', flush=True)\n        time.sleep(60)\n"
        "run_entry(main)"
    )
    process = start(code, tmp_path)
    for line in ("here\n", "tidying\n"):
        assert process.stdout.readline() == line
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_hanging_up_is_ignored_where_it_was_at_the_start(tmp_path):
    code = "def main(argv):\n    print('here', flush=True)\n    sys.stdin.read()\n    return 7\nrun_entry(main)"
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN), "stdin": subprocess.PIPE}
    process = start(code, tmp_path, **ignoring)
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate("", timeout=60)
    assert (process.returncode, err) == (7, "")


@pytest.mark.parametrize("log", ["", "from src.utils.logger import setup_logging; setup_logging(None)"])
def test_standard_output_on_a_full_disk(tmp_path, log):
    code = f"def main(argv):\n    {log}\n    print('a result')\n    return 0\nrun_entry(main)"
    with Path("/dev/full").open("w") as full:
        process = start(code, tmp_path, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    (line,) = err.splitlines()
    assert "cannot write to standard output" in line
    assert "No space left on device; make room there, or choose another place" in line


def test_a_log_on_a_full_disk_is_told_once_and_the_work_goes_on(tmp_path):
    """On standard output and in the log file alike; a run prints thousands of lines."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "rank_0.log").symlink_to("/dev/full")
    code = (
        "import logging\nfrom src.utils.logger import setup_logging\n"
        "def main(argv):\n    setup_logging(Path('.').resolve())\n"
        "    for i in range(3000): logging.getLogger('x').info('line %d', i)\n"
        "    Path('done').touch()\n    return 0\nrun_entry(main)"
    )
    with Path("/dev/full").open("w") as full:
        process = start(code, tmp_path, stdout=full)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, (tmp_path / "done").exists()) == (0, True)
    assert sorted(err.splitlines()) == [
        f"warning: cannot write {where}: No space left on device; the run goes on without it"
        for where in (tmp_path / "logs" / "rank_0.log", "the log to standard output")
    ]


@pytest.mark.parametrize("use", ["run_attached sleep {}", "run_attached sleep {} | cat"])
def test_what_a_shell_script_started_ends_with_it(use):
    seconds = f"1{os.getpid()}"
    code = f". {ROOT}/scripts/setup_env.sh; PYTHON={sys.executable}; {use.format(seconds)}; :"
    process = subprocess.Popen(["bash", "-c", code])
    wait_for(lambda: asleep(seconds))
    process.kill()
    process.wait()
    wait_for(lambda: not asleep(seconds))


def asleep(seconds: str) -> list[Path]:
    """Return the processes that sleep that long."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [path] * (path.read_bytes() == f"sleep\0{seconds}\0".encode())
    return found
