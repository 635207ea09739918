"""Checks 6, 10 and 11, and the times for check 9: data sinks, speed, memory and input pipeline of training."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Model, Tensor, nn
from mindspore.dataset import GeneratorDataset

from src.base.json_lines import read_json_lines
from src.base.memory import peak_memory_mb
from src.config.schema_base import TRAIN
from src.data.dataset_factory import create_train_dataset
from src.modules.factory import create_train_cell
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.loss.loss import WithLossCell
from src.modules.train_warpper import TrainOneStepCell
from src.training.memory import device_peak_mb
from src.utils import local_adapter
from src.utils.config import parse_config
from src.visual.visualize import write_png
from tools.device_check import seeded
from tools.device_check.network import configuration, effective_level, seeded_network
from tools.device_check.profile import aicpu_shares
from tools.device_check.result import ROOT, Result, Settings, attempt
from tools.streets.shapes import CLASS_NAMES, draw_pair

BATCHES = 20
PICTURES = 4
PROFILED = 3  # steps
DEPTHWISE = {name: f"net_args.depthwise_expand={name}" for name in ("grouped", "repeat")}
LOSS_FORMS = {"loss by gather": False, "loss by one-hot vectors": True}  # `one_hot` of `CrossEntropy`
NEEDED = 2.7  # images/s per rank, at 728 ms for two images
TURNS = 10


class Losses(ms.Callback):
    """Collect the loss of the last step of each sink, or of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[int, float] = {}

    def on_train_step_end(self, run_context: ms.RunContext) -> None:
        """Record the loss of the finished step."""
        original = run_context.original_args()
        self.values[original.cur_step_num] = float(original.net_outputs[0].asnumpy())


def batches(settings: Settings, count: int, size: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (image, label) of `count` batches."""
    shape = (size, 3, *settings.crop)
    return [(seeded.image(shape, seed), seeded.label(shape, seed)) for seed in range(count)]


def train_cell(settings: Settings, *options: str) -> TrainOneStepCell:
    """Return the cell of a training step with seeded weights."""
    return create_train_cell(seeded_network(settings, *options), configuration(settings, *options))


def sink_losses(settings: Settings, sink_size: int) -> dict[int, float]:
    """Train on the batches in data sinks of `sink_size`, -1 for none; return the losses by step."""
    data, losses = batches(settings, BATCHES), Losses()
    dataset = GeneratorDataset(data, ["image", "label"], shuffle=False)
    sink = sink_size > 0
    epochs = BATCHES // sink_size if sink else 1
    Model(train_cell(settings)).train(
        epochs, dataset, callbacks=[losses], dataset_sink_mode=sink, sink_size=sink_size if sink else -1
    )
    return losses.values


def check_sink(settings: Settings) -> Result:
    """Check 6: the losses of 20 batches in sinks of 10, of 1 and without, compared with direct calls of the step.

    MindSpore has no sink on the CPU, where only the loop without one is compared.
    """
    cell = train_cell(settings)
    direct = [float(cell(Tensor(image), Tensor(label))[0].asnumpy()) for image, label in batches(settings, BATCHES)]
    worst = {}
    for size in (-1,) if settings.device_target == "CPU" else (10, 1, -1):
        found = sink_losses(settings, size)
        complete = BATCHES in found
        errors = [abs(loss - direct[step - 1]) / abs(direct[step - 1]) for step, loss in found.items()]
        worst["none" if size < 0 else f"sink {size}"] = max(errors) if complete else float("inf")
    return Result(
        max(worst.values()),
        settings.bound(float32=1e-4, hf32=1e-3, float16=2e-2),
        "the step called directly",
        "run again with ms_mode=1, and train so; report the losses",
        worst,
    )


def milliseconds(function: Callable[[], object]) -> float:
    """Return the shortest time of a call until its result is on the host; the first call compiles."""
    function()
    times = []
    for _ in range(TURNS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def waits(cell: nn.Cell, image: Tensor, label: Tensor | None = None) -> Callable[[], object]:
    """Return a function that calls `cell` and waits for its first result."""

    def call() -> np.ndarray:
        result = cell(image) if label is None else cell(image, label)
        return (result[0] if isinstance(result, tuple) else result).asnumpy()

    return call


def _full_step(settings: Settings) -> float:
    return step_time(settings)["step"]


def times(settings: Settings) -> dict[str, float | str]:
    """Return times of the forward pass, with each form of the loss, and of the step in both depthwise forms, ms."""
    image, label = (Tensor(array) for array in batches(settings, 1)[0])
    config = configuration(settings)
    network = seeded_network(settings).set_train(True)
    figures: dict[str, float | str] = {"level": effective_level(config), "forward": milliseconds(waits(network, image))}
    for name, one_hot in LOSS_FORMS.items():
        criterion = CrossEntropy(seeded.NUM_CLASSES, None, config.data.ignore_label, one_hot=one_hot)
        cell = WithLossCell(network, criterion, config.loss_weight)
        figures[name] = milliseconds(waits(cell, image, label))
    for form, option in DEPTHWISE.items():
        changed = dataclasses.replace(settings, options=(*settings.options, option))
        figures[form] = attempt(partial(_full_step, changed))
    return figures


def step_time(settings: Settings) -> dict[str, float]:
    """Return the time of the full step, ms."""
    image, label = (Tensor(array) for array in batches(settings, 1)[0])
    return {"step": milliseconds(waits(train_cell(settings), image, label))}


def on_ai_cpu(settings: Settings) -> dict[str, float] | None:
    """Profile some steps; return the shares of operators on the AI CPU, see `aicpu_shares`."""
    image, label = (Tensor(array) for array in batches(settings, 1)[0])
    step, folder = waits(train_cell(settings), image, label), settings.folder / "profile"
    step()  # compiles
    stop = local_adapter.start_profiler(folder)
    for _ in range(PROFILED):
        step()
    stop()
    return aicpu_shares(folder)


def peak_memory() -> tuple[str, int]:
    """Return "device" or "host", and its peak memory so far, MB; the host's if the device's is not known."""
    device = device_peak_mb()
    return ("host", round(peak_memory_mb())) if device is None else ("device", round(device))


def check_memory(settings: Settings) -> Result:
    """Check 10: the peak memory of a step with four images, after one with two."""
    details: dict[str, float] = {}
    peaks, cell = [], train_cell(settings)
    for size in (2, 4):
        image, label = batches(settings, 1, size)[0]
        loss = float(cell(Tensor(image), Tensor(label))[0].asnumpy())
        whose, peak = peak_memory()
        peaks.append(peak)
        details |= {f"batch {size}, {whose} MB": peak, f"batch {size}, loss": loss}
    growth = peaks[1] / peaks[0] if np.isfinite(loss) else float("inf")
    return Result(growth, 2.2, "the step with two images", "train with --batch_size 2", details)


def pictures(settings: Settings) -> Path:
    """Write pictures of the size of Cityscapes, with noise as in photographs; return their folder."""
    folder, rng = settings.folder / "feed", np.random.default_rng(0)
    folder.mkdir()
    lines = []
    for index in range(PICTURES):
        picture, label = draw_pair(0, "train", index)
        large = np.pad(picture.repeat(6, 0).repeat(9, 1), ((0, 64), (0, 0), (0, 0)), "edge")[:, :2048].astype(np.int16)
        grain = rng.integers(-2, 3, large.shape, np.int16)
        write_png(folder / f"{index}.png", np.clip(large + grain, 0, 255).astype(np.uint8))
        write_png(folder / f"{index}_label.png", np.pad(label.repeat(6, 0).repeat(9, 1), ((0, 64), (0, 0)))[:, :2048])
        lines.append(f"{index}.png {index}_label.png\n")
    (folder / "train.lst").write_text("".join(lines), encoding="utf-8")
    return folder


def feed(settings: Settings) -> float:
    """Return the images per second that the generator of training batches delivers, with the published crop."""
    words = ["--config", str(ROOT / "config/bisenetv2_cityscapes.yml"), "num_classes=3", "data.name=generic"]
    words += [f"data.class_names=[{','.join(CLASS_NAMES)}]", "data.map_label=null"]
    config = parse_config([*words, *settings.options, f"data.dataset_dir={pictures(settings)}"], TRAIN)
    dataset = create_train_dataset(
        config.data,
        num_classes=config.num_classes,
        batch_size=2,
        start_step=0,
        total_step=BATCHES,
        seed=1,
        rank=0,
        rank_size=1,
        ranks_on_host=max(1, settings.ranks),
    )
    start = time.perf_counter()
    count = sum(len(batch[0]) for batch in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))
    return count / (time.perf_counter() - start)


def check_feed(settings: Settings) -> Result:
    """Check 11: the seconds per image of the generator, on a rank's share of the cores."""
    rate, records = feed(settings), read_json_lines(settings.folder / "trained/metrics.jsonl")
    details = {"images/s": rate}
    if records:
        details["waiting for data in the training of check 8, ms a step"] = records[-1]["data_wait_ms"]
    return Result(
        1 / rate if rate else float("inf"),
        1 / NEEDED,
        "2.7 images/s, what a rank of the published run takes",
        "more cores for each rank, images on a local disk",
        details,
    )
