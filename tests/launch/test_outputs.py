"""A job goes on when nobody reads what it prints, even if a process of it would end by that, as mpirun does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_helpers import ROOT

pytestmark = pytest.mark.once

# Python ignores SIGPIPE; this process, which prints long after its reader has left, ends by it.
PROCESS = (
    "import os, signal, sys, time; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
    "for i in range(20): os.write(1 + i % 2, b'line %d\\n' % i); time.sleep(0.01)\n"
    "open(sys.argv[1], 'w').write('done')\n"
)
LAUNCHER = (
    "import os, sys\n"
    "from src.launch.processes import run_together\n"
    "words = [[sys.executable, '-c', sys.argv[1], f'{sys.argv[2]}/{i}'] for i in range(2)]\n"
    "sys.exit(run_together(words, [os.environ] * 2))\n"
)


def launch(folder: Path, end: str) -> subprocess.CompletedProcess:
    words = ["bash", "-c", f'{{ "$@"; echo $? > {folder}/code; }} {end}', "-"]
    words += [sys.executable, "-c", LAUNCHER, PROCESS, str(folder)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("end", ["| head -n 1", "2>&1 | true"])
def test_a_reader_that_leaves(tmp_path, end):
    launch(tmp_path, end)
    assert (tmp_path / "code").read_text() == "0\n"
    assert [(tmp_path / name).read_text() for name in "01"] == ["done", "done"]


@pytest.mark.parametrize("end", ["", "2>&1 | cat"])
def test_everything_arrives(tmp_path, end):
    """In the order of each process, in the stream that it was written to."""
    done = launch(tmp_path, end)
    even, odd = ([f"line {i}" for i in range(start, 20, 2) for _ in range(2)] for start in (0, 1))
    together = "2>&1" in end
    assert sorted(done.stdout.splitlines()) == sorted(even + odd * together)
    assert sorted(done.stderr.splitlines()) == ([] if together else sorted(odd))
    assert (tmp_path / "code").read_text() == "0\n"
