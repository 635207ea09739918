"""Importing `src` leaves a program as it is, unless it is one of ours or one of several that a launcher has started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import src
from tests.run_helpers import ROOT

LAUNCHERS = ("OMPI_", "PMIX_", "MS_", "RANK_", "DEVICE_ID", "LOCAL_RANK_SIZE", "ONEDNN_", "DNNL_")

# A machine where MindSpore needs the cap of oneDNN, whatever this one is.
MACHINE = """
import importlib.metadata, os, pathlib, signal, sys, warnings
version, read_text = importlib.metadata.version, pathlib.Path.read_text
importlib.metadata.version = lambda name: "2.10.0" if name == "mindspore" else version(name)
pathlib.Path.read_text = lambda path, *a, **k: "avx512f" if str(path) == "/proc/cpuinfo" else read_text(path, *a, **k)
"""

STATE = """
def state():
    signals = sorted(signal.valid_signals())
    return {
        "variables": dict(os.environ), "cores": os.sched_getaffinity(0), "folder": os.getcwd(),
        "handlers": [signal.getsignal(number) for number in signals],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "streams": (sys.stdin, sys.stdout, sys.stderr), "hooks": (sys.excepthook, sys.unraisablehook),
        "warnings": list(warnings.filters), "arguments": list(sys.argv), "log": list(logging.root.handlers),
    }

def imported(*names):
    before = state()
    with warnings.catch_warnings(record=True) as seen:
        for name in names:
            importlib.import_module(name)
    after = state()
    print([key for key in before if before[key] != after[key]] + [str(warning.message) for warning in seen])

import logging
imported("src", "src.utils.config", "src.config.loading", "src.distributed.placement")
import cv2, mindspore
from google.protobuf import message
import mindspore.train.mind_ir_pb2
context = [mindspore.get_context(name) for name in ("mode", "device_target")]
imported("src.data", "src.data.cityscapes", "src.modules.bisenetv2", "src.modules.factory")
assert context == [mindspore.get_context(name) for name in ("mode", "device_target")]
"""

OURS = """
import __main__
if sys.argv[1:]:
    __main__.__file__ = sys.argv[1]
import src
print(os.environ.get("ONEDNN_MAX_CPU_ISA"), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""


def child(code: str, *arguments: str, folder: Path = ROOT, **variables: str) -> list[str]:
    """Run code in a process of its own, without variables of a launcher but those given; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)} | variables
    environment["PYTHONPATH"] = str(ROOT)
    words = [sys.executable, "-c", MACHINE + code, *arguments]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_program_of_ones_own_stays_as_it_is():
    assert child(STATE, RANK_ID="0", DEVICE_ID="0") == ["[]", "[]"]


@pytest.mark.once
@pytest.mark.parametrize("name", ["train.py", "scripts/predict.py"])
def test_a_script_of_ours_is_prepared(name):
    assert child(OURS, str(ROOT / name)) == ["AVX2 False"]


@pytest.mark.once
def test_all_scripts_in_the_root_are_ours():
    assert sorted(src._SCRIPTS) == sorted(path.stem for path in ROOT.glob("*.py"))


@pytest.mark.once
@pytest.mark.parametrize("name", ["my_program.py", "tests/train.py"])
def test_other_programs_in_the_repository_are_not_ours(name):
    assert child(OURS, str(ROOT / name)) == ["None True"]


@pytest.mark.once
def test_a_program_without_a_file_is_not_ours_wherever_it_runs():
    assert child(OURS, folder=ROOT / "config") == ["None True"]


@pytest.mark.once
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core cannot be divided")
def test_one_of_several_processes_takes_its_share_of_the_cores():
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // 2
    code = "import src\nprint(sorted(os.sched_getaffinity(0)))"
    place = {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}
    variables = {f"OMPI_COMM_WORLD_{name}": value for name, value in place.items()}
    assert child(code, **variables) == [str(cores[share : 2 * share])]
