"""The file into which a rank that stands still writes its stacks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
PROGRAM = """
import gc, os, signal, sys
from src.distributed import heartbeat
heartbeat.write_stacks_when_asked(sys.argv[1], 1)
# As in a training whose imports leave a second module of that name to be cleared up.
del sys.modules["faulthandler"], heartbeat.faulthandler
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_the_file_stays_open(tmp_path):
    (tmp_path / "logs").mkdir()
    environment = {**os.environ, "BISENETV2_WATCHED": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment, check=True)
    assert "most recent call first" in (tmp_path / "logs" / "rank_1.stacks").read_text(encoding="utf-8")
