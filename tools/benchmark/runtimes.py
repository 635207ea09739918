"""The runtimes for exported models other than MindSpore: which are available, and the files that they run."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from src.offline.onnx_model import INSTALL
from src.utils import local_adapter
from tools.benchmark.worker import ROOT, Worker, last_line

logger = logging.getLogger(__name__)

ONNX, ONNX_INT8, LITE = "ONNX Runtime", "ONNX Runtime int8", "MindSpore Lite"
VARIANT = "class map, folded"  # the variant that all of them run
LITE_READS = (2, 0)  # version of MindSpore whose MindIR MindSpore Lite 2.0 reads; others go through ONNX
RUNNER = ROOT / "ascend310_infer" / "src"


def available(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the names of the available runtimes, and log how to get the others."""
    found: list[str] = []
    if all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        found += [ONNX, ONNX_INT8]
    else:
        logger.info("no rows for ONNX Runtime: %s", INSTALL)
    if environment.get("MS_LITE_HOME") or environment.get("LITE_HOME"):
        found.append(LITE)
    else:
        logger.info("no row for MindSpore Lite: set MS_LITE_HOME; bash scripts/get_mindspore_lite.sh gets one")
    return tuple(found)


def formats(frameworks: Sequence[str]) -> tuple[str, ...]:
    """Return the formats to export for the given runtimes."""
    wanted = {"ONNX"} & {"ONNX" for name in frameworks if name in (ONNX, ONNX_INT8)}
    if LITE in frameworks:
        wanted.add("MINDIR" if lite_reads_mindir() else "ONNX")
    return tuple(sorted(wanted))


def lite_reads_mindir() -> bool:
    """Return whether MindSpore Lite 2.0 reads the MindIR of the installed MindSpore."""
    return local_adapter.mindspore_version()[:2] == LITE_READS


def prepare_lite(folder: Path) -> bool:
    """Build the runner, and convert the model if necessary, in `folder`; if that fails, log it and return False."""
    commands = [["bash", str(RUNNER / "build.sh"), str(folder / "runner")]]
    if not lite_reads_mindir():
        script = str(ROOT / "scripts" / "convert_to_lite.sh")
        commands.append(["bash", script, str(folder / "model.onnx"), str(folder / "lite.mindir")])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            logger.info("no row for MindSpore Lite: %s: %s", Path(command[1]).name, last_line(done))
            return False
    return True


def start(framework: str, folder: Path, *, threads: int, shape: Sequence[int]) -> Worker:
    """Start the process that runs the model exported to `folder` in one of the runtimes."""
    spec = {"threads": threads, "shape": list(shape)}
    if framework == LITE:
        model = folder / ("model.mindir" if lite_reads_mindir() else "lite.mindir")
        runner = ["bash", str(RUNNER / "run.sh"), str(folder / "runner")]
        command = [sys.executable, "-m", "tools.benchmark.lite_work"]
        return Worker(command, {"runner": runner, "path": str(model), **spec})
    kind = "int8" if framework == ONNX_INT8 else "float"
    command = [sys.executable, "-m", "tools.benchmark.onnx_work"]
    return Worker(command, {"kind": kind, "path": str(folder / "model.onnx"), **spec})
