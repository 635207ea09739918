"""The settings of the benchmark, and the processes and results of its sections that do not read images."""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.base.cores import usable_cores, usable_threads
from src.config.schema_base import TRAIN
from src.utils.config import parse_config
from tools.benchmark import runtimes
from tools.benchmark.machine import torch_environment
from tools.benchmark.onednn import VERBOSE
from tools.benchmark.report import FORMER
from tools.benchmark.worker import Worker

logger = logging.getLogger(__name__)

SECTIONS = ("pipeline", "forward", "exported", "train", "evaluation", "startup", "memory", "model")
# Output of an exported model, and whether batch normalisation is folded. All resize by products, except the form that
# was exported formerly, with which the others are compared.
EXPORTED = ("class map, folded", "class map", "logits, folded", "logits", FORMER)
TORCH_EXPORTED = ("class map", "class map, channels last", "logits")
MINDSPORE, TORCH = "MindSpore", "PyTorch"
PROFILED_STEPS = 3
Size = tuple[int, int]


@dataclass(frozen=True)
class Settings:
    """What to measure; sizes are (height, width), training shapes (images, height, width)."""

    only: tuple[str, ...] = SECTIONS
    sizes: tuple[Size, ...] = ((512, 1024), (1024, 2048))
    train_shape: tuple[int, int, int] = (2, 512, 512)
    memory_shapes: tuple[tuple[int, int, int], ...] = ((2, 512, 512), (4, 512, 512), (2, 1024, 1024))
    eval_size: Size = (1024, 2048)
    rounds: int = 3
    runs: int = 2
    config: str | None = None  # configuration with the pipeline's transforms; None: the default configuration
    dataset_dir: str | None = None  # data set that the pipeline reads; None: synthetic images of `eval_size`
    workers: tuple[int, ...] = field(default_factory=lambda: tuple(sorted({1, usable_cores()})))
    batch_size: int | None = None  # None: the configuration's, as with `crop_size`
    crop_size: Size | None = None
    batches: int = 8
    eval_images: int = 5
    multi_scale_images: int = 2
    scales: tuple[float, ...] | None = None  # for multi-scale evaluation; None: the configuration's
    torch_python: str | None = None
    runtimes: tuple[str, ...] = ()  # further runtimes of exported models; names as in `runtimes`
    mix: bool = False
    num_threads: int = field(default_factory=usable_threads)
    device_target: str | None = None

    @property
    def precision(self) -> str:
        """Precision of MindSpore's part, as text."""
        return "float16 convolutions" if self.mix else "float32"

    @property
    def options(self) -> list[str]:
        """Return the command line of train.py that all of MindSpore's work shares."""
        device = ["--device_target", self.device_target] if self.device_target else []
        return [*device, "--num_threads", str(self.num_threads), "--mix", str(self.mix)]


@dataclass(frozen=True)
class Step:
    """One forward pass or training step in one framework; `shape` is (N, 3, H, W)."""

    framework: str
    kind: str
    shape: tuple[int, int, int, int]
    variant: str | None = None

    @property
    def name(self) -> str:
        """Name of the measured work."""
        words = [self.framework, self.kind, self.variant, "x".join(map(str, self.shape))]
        return " ".join(filter(None, words))


def start(
    settings: Settings, step: Step, environment: dict[str, str] | None = None, files: Path | None = None
) -> Worker:
    """Start the process that does `step`; `files` is the folder of `deployed_files`."""
    logger.info("starting %s", step.name)
    if step.framework in settings.runtimes:
        assert files is not None  # what they run
        return runtimes.start(step.framework, files, threads=settings.num_threads, shape=step.shape)
    spec: dict[str, Any] = {"kind": step.kind, "shape": step.shape}
    if step.variant:
        spec["variant"] = step.variant
    if step.framework == MINDSPORE:
        return start_mindspore(settings, environment=environment, **spec)
    if step.kind == "train":
        spec["training"] = torch_training(settings)
    return start_torch(settings, environment=environment, **spec)


def start_mindspore(
    settings: Settings, overrides: Iterable[str] = (), environment: dict[str, str] | None = None, **spec: Any
) -> Worker:
    """Start a process of `mindspore_work`."""
    command = [sys.executable, "-m", "tools.benchmark.mindspore_work"]
    return Worker(command, {"config": [*settings.options, *overrides], **spec}, environment)


def start_torch(settings: Settings, environment: dict[str, str] | None = None, **spec: Any) -> Worker:
    """Start a process of `torch_work`."""
    arguments = parse_config([], TRAIN).net_args
    network = {"inner_upsample": arguments.inner_upsample, "bn_epsilon": arguments.bn_epsilon}
    assert settings.torch_python is not None  # nothing of PyTorch is measured otherwise
    command = [settings.torch_python, "-m", "tools.benchmark.torch_work"]
    spec = {"threads": settings.num_threads, "network": network, **spec}
    return Worker(command, spec, {**torch_environment(), **(environment or {})})


def torch_training(settings: Settings) -> dict:
    """Return the loss and optimizer settings of train.py at its first step."""
    config = parse_config(settings.options, TRAIN)
    weights = config.data.map_label or (1.0,) * config.num_classes
    optimizer = config.optimizer
    assert optimizer.lr_init is not None  # every optimizer has one
    sgd = {
        "lr": optimizer.lr_init / max(1, config.warmup_step),
        "momentum": optimizer.momentum,
        "weight_decay": optimizer.weight_decay,
        "nesterov": optimizer.nesterov,
    }
    return {"class_weights": list(weights), "loss_weight": list(config.loss_weight), "sgd": sgd}


def plan_steps(settings: Settings) -> list[list[Step]]:
    """Return the steps to measure; those of one group are measured alternately."""
    frameworks = [MINDSPORE, TORCH] if settings.torch_python else [MINDSPORE]
    groups = []
    for size in settings.sizes if {"forward", "startup", "memory"} & set(settings.only) else ():
        groups.append([Step(MINDSPORE, "forward", (1, 3, *size), "logits")])
        if settings.torch_python:
            groups[-1] += [Step(TORCH, "forward", (1, 3, *size), name) for name in ("logits", "channels last")]
        if "forward" in settings.only:
            groups.append([Step(framework, "forward", (1, 3, *size), "class map") for framework in frameworks])
    for size in settings.sizes if "exported" in settings.only else ():
        groups.append([Step(MINDSPORE, "exported", (1, 3, *size), name) for name in EXPORTED])
        groups[-1] += [Step(name, "exported", (1, 3, *size), runtimes.VARIANT) for name in settings.runtimes]
        if settings.torch_python:
            groups[-1] += [Step(TORCH, "exported", (1, 3, *size), name) for name in TORCH_EXPORTED]
    if {"train", "startup"} & set(settings.only):
        count, height, width = settings.train_shape
        groups.append([Step(framework, "train", (count, 3, height, width)) for framework in frameworks])
        if settings.torch_python:
            groups[-1].append(Step(TORCH, "train", (count, 3, height, width), "channels last"))
    return groups


def measure_group(settings: Settings, group: list[Step]) -> list[dict]:
    """Measure steps alternately; return a row of plain values for each."""
    thorough = group[0].kind in settings.only
    rounds, runs = (settings.rounds, settings.runs) if thorough else (1, 1)
    with contextlib.ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        group = deployed_files(settings, group, files)
        workers = [stack.enter_context(start(settings, step, files=files)) for step in group]
        rows = [describe(settings, step, worker) for step, worker in zip(group, workers)]
        for row, worker in zip(rows, workers):
            row["first_ms"] = worker.ask("run", times=1)["ms"][0]
            worker.ask("run", times=1)  # the second call still allocates memory
        for number in range(rounds):
            logger.info("%s: round %d of %d", group[0].name.partition(" ")[2], number + 1, rounds)
            for row, worker in zip(rows, workers):
                row["ms"] += worker.ask("run", times=runs)["ms"]
        for row, worker in zip(rows, workers):
            row["peak_mb"] = worker.ask("peak")["peak_mb"]
    return rows


def deployed_files(settings: Settings, group: list[Step], folder: Path) -> list[Step]:
    """Export the model for other runtimes to `folder`; return the steps that are possible."""
    others = [step for step in group if step.framework in settings.runtimes]
    formats = runtimes.formats([step.framework for step in others])
    if not formats:
        return group
    logger.info("exporting %s", " and ".join(formats))
    with start_mindspore(
        settings, kind="files", shape=others[0].shape, variant=others[0].variant, formats=formats, folder=str(folder)
    ):
        pass  # the process only exports
    if any(step.framework == runtimes.LITE for step in others) and not runtimes.prepare_lite(folder):
        return [step for step in group if step.framework != runtimes.LITE]
    return group


def describe(settings: Settings, step: Step, worker: Worker) -> dict:
    """Return the part of a row that describes its work, without measurements."""
    precisions = {MINDSPORE: settings.precision, runtimes.ONNX_INT8: "int8 convolutions"}
    precision = precisions.get(step.framework, "float32")
    return {
        "framework": step.framework,
        "kind": step.kind,
        "variant": step.variant,
        "shape": list(step.shape),
        "precision": precision,
        "device_target": worker.built.get("device_target", "CPU"),
        "start_seconds": worker.start_seconds,
        "ms": [],
    }


def profile_steps(settings: Settings) -> list[dict]:
    """Sum oneDNN's times for each kind of step, one step at a time on the machine."""
    rows = []
    steps = [step for group in plan_steps(settings) for step in group if step.variant in (None, "logits")]
    for step in steps:
        if step.kind not in settings.only or step.kind == "exported":  # the same as the forward pass
            continue
        with start(settings, step, VERBOSE) as worker:
            logger.info("profiling %s", step.name)
            worker.ask("run", times=2)
            row = describe(settings, step, worker)
            rows.append({**row, "steps": worker.ask("profile", times=PROFILED_STEPS)["steps"]})
    return rows


def count_model(settings: Settings) -> list[dict]:
    """Count parameters and multiply-adds, with and without auxiliary heads."""
    starters: dict[str, Callable[..., Worker]] = {MINDSPORE: start_mindspore}
    if settings.torch_python:
        starters[TORCH] = start_torch
    rows = []
    for framework, starter in starters.items():
        logger.info("counting parameters and multiply-adds, %s", framework)
        with starter(settings, kind="model") as worker:
            for aux_heads in (False, True):
                for size in settings.sizes:
                    counts = worker.ask("count", shape=(1, 3, *size), aux_heads=aux_heads)
                    rows.append({"framework": framework, "aux_heads": aux_heads, "size": list(size), **counts})
    return rows
