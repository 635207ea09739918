"""Run each check in a separate process, so that none occupies the card while the runs of another need its memory.

Usage: python -m tools.device_check.worker NAME SETTINGS.json ANSWER.json
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from src.base.errors import UserError
from src.config.schema_base import TRAIN
from src.distributed.child_process import end_with_parent, module_environment
from src.utils.ascend_settings import apply_settings
from src.utils.config import parse_config
from src.utils.logger import setup_logging
from src.utils.runtime import init_device
from tools.device_check.result import ROOT, Result, Settings

# Modules whose checks do not use the device themselves, but start processes that do.
STARTING = ("runs", "ranks", "levels")
WORK = {
    "probe": "probe:probe",
    "check1": "network:check_settings",
    "check2": "network:check_forward",
    "check3": "operators:check_operators",
    "check4": "network:check_gradients",
    "check5": "network:check_overflow",
    "check6": "speed:check_sink",
    "check7": "runs:check_signal",
    "check8": "runs:check_resume",
    "check9": "levels:check_speed",
    "times": "speed:times",
    "step_time": "speed:step_time",
    "on_ai_cpu": "speed:on_ai_cpu",
    "check10": "speed:check_memory",
    "check11": "speed:check_feed",
    "check12": "ranks:check_ranks",
    "check13": "runs:check_evaluation",
    "check14": "runs:check_export",
}


def in_process(name: str, settings: Settings, label: str = "") -> tuple[int, dict | None, Path]:
    """Do one kind of `WORK` in a new process; return its exit code, its answer if any, and the path of its log.

    The log is {folder}/{label}.log, or {folder}/{name}.log without a label.
    """
    task, answer, log = (settings.folder / f"{label or name}.{suffix}" for suffix in ("task.json", "json", "log"))
    task.write_text(json.dumps(dataclasses.asdict(settings), default=str), encoding="utf-8")
    words = [sys.executable, "-m", "tools.device_check.worker", name, str(task), str(answer)]
    with log.open("w") as output:
        code = run_here(words, output)
    found = json.loads(answer.read_text(encoding="utf-8")) if code == 0 and answer.exists() else None
    return code, found, log


def run_here(words: Sequence[str], output: IO[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a command in the root of the project, which ends with this process; return its exit code."""
    return subprocess.run(
        words,
        cwd=ROOT,
        stdout=output,
        stderr=output,
        env=module_environment(environment or os.environ),
        check=False,
        preexec_fn=lambda: end_with_parent(signal.SIGTERM),
    ).returncode


def main(name: str, task: Path, answer: Path) -> int:
    """Do the work and write its result; return 0, or 2 after a user error, which is reported in one line."""
    settings = Settings.from_json(task.read_text(encoding="utf-8"))
    module, _, function = WORK[name].partition(":")
    setup_logging(None)
    try:
        if module not in STARTING:
            config = parse_config(["--device_target", settings.device_target, *settings.options], TRAIN)
            init_device(settings.device_target, settings.device_id, config.ms_mode, config.num_threads)
            apply_settings(config, settings.device_target)
        result = getattr(importlib.import_module(f"tools.device_check.{module}"), function)(settings)
    except UserError as err:
        sys.stderr.write(f"error: {err}\n")
        return 2
    record = result
    if isinstance(result, Result):
        record = {**dataclasses.asdict(result), "passed": result.passed}
    answer.write_text(json.dumps(record, default=str), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
