"""Build the C++ runner for the MindSpore Lite that the environment names, and run it."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from src.base.errors import UserError
from src.distributed.child_process import end_with_parent

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).resolve().parents[2] / "ascend310_infer" / "src"
OPTIONS = ("dataset_path", "result_path", "device_id", "device_type", "precision_mode", "warmup", "num_threads")


def lite_home() -> str | None:
    """Return the folder of MindSpore Lite that MS_LITE_HOME or LITE_HOME names, if any."""
    return os.environ.get("MS_LITE_HOME") or os.environ.get("LITE_HOME") or None


def build_folder() -> Path:
    """Return the folder in which the runner is built: BUILD_DIR, or the default."""
    return Path(os.environ.get("BUILD_DIR") or SOURCES.parent / "out")


def run(args: argparse.Namespace) -> int:
    """Build the runner and run it with the options of scripts/infer_model.py; return its exit code.

    Raises:
        UserError: it cannot be built.
    """
    folder = build_folder()
    logger.info("building the runner for %s in %s", lite_home(), folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # finds cmake beside Python
    command = ["bash", str(SOURCES / "build.sh"), str(folder)]
    own: dict[str, Any] = {"check": False, "preexec_fn": lambda: end_with_parent(signal.SIGTERM)}
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, **own)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise UserError(f"the runner cannot be built: {lines[-1].removeprefix('error: ')}")
    given = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    words += ["--verbose"] if args.verbose else []
    command = ["bash", str(SOURCES / "run.sh"), str(folder), "--mindir_path", str(args.model_path), *words]
    return subprocess.run(command, **own).returncode
