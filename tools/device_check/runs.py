"""Checks 7, 8, 13 and 14: whole runs of the entry scripts in separate processes, on a tiny data set."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from src.base.json_lines import read_json_lines
from src.distributed.child_process import end_with_parent
from src.offline.runner import lite_home
from src.state.checkpoint_names import list_checkpoints
from tools.device_check.result import ROOT, Result, Settings
from tools.device_check.worker import run_here
from tools.streets.shapes import write_data_set

LITE_HOMES = ("MS_LITE_HOME", "LITE_HOME")
# Precision of the exported model, by `Settings.half`; training keeps float32 wherever the chip supports it.
PRECISION = {False: ("--precision_mode", "must_keep_origin_dtype"), True: ()}
START_SECONDS = 1800  # limit for the first step; compilation takes minutes on a card
STOP_SECONDS = 300  # limit for the rest of a data sink, and a checkpoint
SINK, STEPS = 10, 40


def data_set(settings: Settings) -> Path:
    """Return the folder of the tiny data set, which the first check that needs it creates."""
    folder = settings.folder / "data"
    if not folder.exists():
        for _ in write_data_set(folder, 0):
            pass
    return folder


def command(settings: Settings, script: str, *options: object, device: str = "") -> list[str]:
    """Return the command of an entry script with the tiny data set's configuration."""
    target = device or settings.device_target
    number = () if target == "CPU" else ("--device_id", settings.device_id)
    words = [ROOT / script, "--config", ROOT / "config/bisenetv2_tiny.yml", "--device_target", target, *number]
    return [sys.executable, *map(str, (*words, *options, *settings.options, f"data.dataset_dir={data_set(settings)}"))]


def run(settings: Settings, words: list[str], name: str, *, lite: Mapping[str, str] | None = None) -> int:
    """Run a command in the root of the project, with its output in a log in the folder; return its exit code.

    Args:
        settings: settings with the folder of the log.
        words: the command.
        name: name of the log.
        lite: environment variables that name a MindSpore Lite, replacing those of this process; None keeps these.
    """
    environment = dict(os.environ)
    if lite is not None:
        environment = {**{name: value for name, value in os.environ.items() if name not in LITE_HOMES}, **lite}
        environment.setdefault("BUILD_DIR", str(settings.folder / "build"))
    with (settings.folder / f"{name}.log").open("w") as log:
        return run_here(words, log, environment)


def training(settings: Settings, save_dir: Path, *options: object) -> list[str]:
    """Return the command of a short training with logs and checkpoints every SINK steps."""
    intervals = ("--log_interval", SINK, "--checkpoint_interval", SINK)
    usual = ("--save_dir", save_dir, "--run_eval", False, "--batch_size", 2)
    return command(settings, "train.py", *usual, *intervals, *options)


def losses(save_dir: Path) -> dict[int, float | None]:
    """Return the losses of a run by step, None for one that is not finite; the run may still be writing."""
    return {record["step"]: record["loss"] for record in read_json_lines(save_dir / "metrics.jsonl")}


def difference(found: float | None, expected: float | None) -> float:
    """Return the relative difference; infinite if a value is missing."""
    if found is None or expected is None:
        return float("inf")
    return abs(found - expected) / abs(expected)


def check_signal(settings: Settings) -> Result:
    """Check 7: SIGTERM within the third data sink: exit code 143, and a checkpoint of all steps up to its end."""
    save_dir = settings.folder / "signal"
    with (settings.folder / "signal.log").open("w") as log:
        words = training(settings, save_dir, "--total_step", 100_000)
        process = subprocess.Popen(
            words, stdout=log, stderr=log, cwd=ROOT, preexec_fn=lambda: end_with_parent(signal.SIGKILL)
        )
        try:
            end = time.monotonic() + START_SECONDS
            while 2 * SINK not in losses(save_dir) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            code = None  # it did not stop
        finally:
            process.kill()
    saved = [step for step, _ in list_checkpoints(save_dir / "checkpoints")]
    counted = stopped_after((settings.folder / "signal.log").read_text(encoding="utf-8", errors="replace"))
    wrong = [code != 128 + signal.SIGTERM, counted is None or counted < 2 * SINK, not saved or saved[-1] != counted]
    return Result(
        float(sum(wrong)),
        0.0,
        "exit code 143, a checkpoint of the last step counted",
        "see signal.log in --folder",
        {"exit code": code, "steps counted": counted, "checkpoints": saved},
    )


def stopped_after(log: str) -> int | None:
    """Return the step after which a signal stopped a training, according to its log."""
    found = re.search(r"stopped by signal \d+ after step (\d+)", log)
    return int(found[1]) if found else None


def trained(settings: Settings) -> Path:
    """Return the folder of a short training on the device, which the first check that needs it runs."""
    save_dir = settings.folder / "trained"
    if not save_dir.exists():
        run(settings, training(settings, save_dir, "--total_step", STEPS), "trained")
    return save_dir


def last_checkpoint(save_dir: Path) -> Path:
    """Return the newest checkpoint of a run; a path that does not exist if there is none."""
    saved = list_checkpoints(save_dir / "checkpoints")
    return saved[-1][1] if saved else save_dir / "missing.ckpt"


def check_resume(settings: Settings) -> Result:
    """Check 8: a resumed run has the same last losses as the run that was not interrupted."""
    whole, resumed, half = trained(settings), settings.folder / "resumed", STEPS // 2
    saved, codes = dict(list_checkpoints(whole / "checkpoints")), []
    if half in saved:
        words = training(settings, resumed, "--total_step", STEPS, "--resume_ckpt", saved[half])
        codes.append(run(settings, words, "resumed"))
    found, expected = losses(resumed), losses(whole)
    steps = range(half + SINK, STEPS + 1, SINK)
    details = {f"loss after {step} steps": [found.get(step), expected.get(step)] for step in steps}
    return Result(
        max(difference(found.get(step), expected.get(step)) for step in steps),
        settings.bound(float32=1e-4, hf32=1e-2, float16=1e-2),
        "the undisturbed run",
        "run again with deterministic=True; see trained.log, resumed.log",
        {**details, "exit codes": codes},
    )


def evaluate(settings: Settings, device: str, name: str) -> float | None:
    """Return the mIoU of the trained checkpoint on a device; None if the evaluation failed."""
    folder = settings.folder / name
    options = ("--checkpoint_path", last_checkpoint(trained(settings)), "--save_dir", folder, "--single_scale", True)
    if run(settings, command(settings, "eval.py", *options, device=device), name):
        return None
    return json.loads((folder / "eval.json").read_text(encoding="utf-8"))["miou"]


def check_evaluation(settings: Settings) -> Result:
    """Check 13: the mIoU of a checkpoint trained on the device, there and in a process on the CPU."""
    found = evaluate(settings, settings.device_target, "eval_device")
    expected = evaluate(settings, "CPU", "eval_cpu")
    figure = float("inf") if found is None or expected is None else abs(found - expected)
    return Result(
        figure,
        1e-3,
        "a process on the CPU",
        "see trained.log, eval_device.log, eval_cpu.log; check 2 first",
        {"device": found, "CPU": expected},
    )


def check_export(settings: Settings) -> Result:
    """Check 14: the share of pixels in which the exported model differs from the network on the CPU.

    scripts/infer_model.py runs the model over the evaluation's pictures: in MindSpore, and in the C++ runner if
    MS_LITE_HOME or LITE_HOME names a MindSpore Lite.
    """
    checkpoint, model = last_checkpoint(trained(settings)), settings.folder / "model.mindir"
    inputs, expected = settings.folder / "inputs", settings.folder / "expected"
    tiny = ["--config", ROOT / "config/bisenetv2_tiny.yml", *settings.options]
    data = f"data.dataset_dir={data_set(settings)}"
    steps: dict[str, list[Any]] = {
        "export": command(settings, "export.py", "--checkpoint_file", checkpoint, "--file_name", model.with_suffix("")),
        "inputs": [ROOT / "preprocess.py", *tiny, data, "--model_path", model, "--output_path", inputs],
        "expected": ["-m", "tools.device_check.predict", checkpoint, inputs / "image", expected, *settings.options],
    }
    steps["inputs"], steps["expected"] = ([sys.executable, *map(str, steps[name])] for name in ("inputs", "expected"))
    runtimes: dict[str, dict[str, str]] = {"MindSpore": {}}
    if lite_home():
        runtimes["runner"] = {name: os.environ[name] for name in LITE_HOMES if name in os.environ}
    for name in runtimes:
        words = inference(settings, model, inputs / "image", settings.folder / name / "results")
        steps[name] = [sys.executable, *map(str, words)]
    codes = {name: run(settings, words, name, lite=runtimes.get(name)) for name, words in steps.items()}
    shares = {name: differing_share(settings.folder / name / "results", expected) for name in runtimes}
    return Result(
        max(shares.values()),
        1e-3,
        "the network on the CPU",
        "see the logs of what did not end with 0, else check 2",
        {**shares, "exit codes": codes},
    )


def inference(settings: Settings, model: Path, images: Path, results: Path) -> list[object]:
    """Return scripts/infer_model.py and its options for a model on the device."""
    paths = ["--model_path", model, "--dataset_path", images, "--result_path", results]
    device = ["--device_type", settings.device_target, "--device_id", settings.device_id]
    return [ROOT / "scripts/infer_model.py", *paths, *device, *PRECISION[settings.half]]


def differing_share(results: Path, expected: Path) -> float:
    """Return the share of pixels that differ in the class maps (int32) of two folders; 1 if one lacks a file."""
    names = sorted(path.name for path in expected.glob("*.bin")) if expected.is_dir() else []
    if not names or any(not (results / name).is_file() for name in names):
        return 1.0
    pairs = [[np.fromfile(folder / name, np.int32) for folder in (results, expected)] for name in names]
    if any(one.size != other.size for one, other in pairs):
        return 1.0
    return float(np.mean([(one != other).mean() for one, other in pairs]))
