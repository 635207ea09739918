"""The section memory of the benchmark: the memory of a training step by shape, each in a separate process."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Iterator, Sequence
from typing import Any

from src.base.memory import free_memory_mb
from tools.benchmark.report import megapixels
from tools.benchmark.sections import MINDSPORE, TORCH, Settings, Step, start
from tools.benchmark.tables import shape_text
from tools.benchmark.worker import ChildError, Worker

logger = logging.getLogger(__name__)

STEPS = 3  # later steps take no more memory than the second and third
CONTENDERS = ((MINDSPORE, None), (TORCH, None), (TORCH, "channels last"))


def measure_memory(settings: Settings) -> Iterator[dict]:
    """Measure the shapes, smallest first; yield each row when it is complete.

    A shape that is not expected to fit this machine, judging by the one before it, is skipped, as are shapes larger
    than one whose process the system killed. Their rows have the reason in "skipped" and no figures.
    """
    for framework, variant in CONTENDERS:
        if framework == TORCH and not settings.torch_python:
            continue
        reason = ""
        measured: list[dict[str, Any]] = []
        for images, height, width in sorted(settings.memory_shapes, key=math.prod):
            step = Step(framework, "train", (images, 3, height, width), variant)
            reason = reason or too_large(step.shape, measured)
            row = {
                "framework": framework,
                "kind": "train",
                "variant": variant,
                "shape": list(step.shape),
                "precision": settings.precision if framework == MINDSPORE else "float32",
            }
            if not reason:
                try:
                    measured.append({**row, **measure_step(settings, step)})
                except ChildError as err:
                    if err.code != -signal.SIGKILL:
                        raise
                    reason = f"the system killed the process of {shape_text(step.shape)}, probably for lack of memory"
            if reason:
                logger.info("skipping the memory of %s: %s", step.name, reason)
            yield {**row, "skipped": reason} if reason else measured[-1]


def measure_step(settings: Settings, step: Step) -> dict:
    """Run a few steps in a new process; return their times, and its peaks of memory before and after them.

    "host" and "device" have MB before and after; "device" is None on the CPU and if MindSpore does not report it.
    """
    with start(settings, step) as worker:
        logger.info("memory of %s", step.name)
        before = peaks(worker, step.framework)
        milliseconds = worker.ask("run", times=STEPS)["ms"]
        after = peaks(worker, step.framework)
        found = {name: None if after[name] is None else [before[name], after[name]] for name in after}
        return {"device_target": worker.built.get("device_target", "CPU"), "ms": milliseconds, **found}


def peaks(worker: Worker, framework: str) -> dict[str, float | None]:
    """Return the memory peaks of a process so far, MB."""
    device = worker.ask("device_peak")["device_mb"] if framework == MINDSPORE else None
    return {"host": worker.ask("peak")["peak_mb"], "device": device}


def too_large(shape: Sequence[int], measured: Sequence[dict]) -> str:
    """Return why a shape, judging by smaller ones, does not fit into free memory; "" if it does or this is unknown.

    Two smaller shapes give the memory of a further megapixel; a single one overestimates it, because it includes
    compilation. The memory of a card is not known here, so every shape is tried there.
    """
    free = free_memory_mb()
    if not measured or measured[-1]["device_target"] != "CPU" or free is None:
        return ""
    points = [(0.0, measured[-1]["host"][0]), *((megapixels(row["shape"]), row["host"][1]) for row in measured)]
    (small, low), (large, high) = points[-2:] if len(points) > 2 else points
    slope = (high - low) / (large - small) if large > small else high / large
    needed = high + slope * (megapixels(shape) - large)
    return "" if needed <= free else f"it would take about {needed:.0f} MB, {free:.0f} MB are free"
