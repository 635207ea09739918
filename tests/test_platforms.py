"""On a system that is not Linux every script says so, in one line, before anything of it can fail there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.run_helpers import ROOT

pytestmark = pytest.mark.once

ENTRY_SCRIPTS = (
    "train.py",
    "eval.py",
    "export.py",
    "preprocess.py",
    "postprocess.py",
    "scripts/predict.py",
    "scripts/make_demo_dataset.py",
    "scripts/benchmark.py",
    "scripts/launch_ranks.py",
    "scripts/run_rank.py",
)
# What Python has on Windows, in the process that runs a script there: neither signal masks nor modules of Unix.
WINDOWS = """
import os, runpy, signal, sys
sys.platform = "win32"
for module, name in ((signal, "pthread_sigmask"), (signal, "SIGKILL"), (os, "sched_getaffinity"), (os, "fork")):
    delattr(module, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("system", ["Darwin", "MINGW64_NT-10.0-19045"])
@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("run_demo.sh", []),
        ("run_tests.sh", []),
        ("run_standalone_train.sh", ["runs"]),
        ("run_eval.sh", ["0", "x.ckpt"]),
        ("run_distribute_train.sh", ["2", "2", "runs"]),
        ("ascend_310_infer.sh", ["x.mindir", "data"]),
        ("convert_to_lite.sh", ["x.onnx", "out"]),
        ("setup_env.sh", []),
    ],
)
def test_shell_scripts_elsewhere(tmp_path, system, script, arguments):
    """Of a copy, with no Python in reach: without its check run_tests.sh would run the suite, this test included.

    `uname` and `dirname` are all that PATH has: whatever a script did before the check would fail otherwise.
    """
    shutil.copytree(ROOT / "scripts", tmp_path / "repo" / "scripts")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "uname").write_text(f"#!/bin/sh\necho {system}\n", encoding="utf-8")
    (programs / "uname").chmod(0o755)
    (programs / "dirname").symlink_to(shutil.which("dirname"))
    words = [shutil.which("bash"), str(tmp_path / "repo" / "scripts" / script), *arguments]
    done = subprocess.run(words, env={"PATH": str(programs)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: this runs on Linux (x86-64 or aarch64; on Windows in WSL2), not on {system}\n"


@pytest.mark.parametrize("script", ENTRY_SCRIPTS)
def test_python_scripts_on_windows(tmp_path, script):
    words = [sys.executable, "-c", WINDOWS, str(ROOT / script), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: this runs on Linux (x86-64 or aarch64); on Windows run it in WSL2\n"
