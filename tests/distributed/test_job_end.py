"""How the process of a job ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.run_helpers import ROOT

SCRIPT = """
import atexit
from src.distributed.job_end import end_process, end_at_once_after
atexit.register(lambda: print("farewell of MindSpore's"))
{}
print("told")
end_process({})
"""


@pytest.mark.parametrize("code", [0, 2])
def test_the_usual_end(code):
    assert end("", code) == "told\nfarewell of MindSpore's\n"


def test_a_rank_that_is_done_leaves_and_skips_the_farewell():
    assert end("end_at_once_after(lambda: print('left'))", 0) == "told\nleft\n"


def test_a_rank_that_failed_waits_for_nobody():
    assert end("end_at_once_after(lambda: print('left'))", 2) == "told\n"


def end(line: str, code: int) -> str:
    """Return what a process prints that ends with a code; its output is a pipe, which Python buffers."""
    script = SCRIPT.format(line, code)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    return done.stdout
