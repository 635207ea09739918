"""Format the measured values as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tools.benchmark.samples import median_by_kind, ratio_of_medians, summarize
from tools.benchmark.tables import shape_text, size_text, spread, table

EVALUATION_NETWORK = "evaluation network without auxiliary heads"
TRAIN_STEP = "five heads, loss, backward, SGD"
MACS_NOTE = (
    "Multiply-adds of one image: every weight of a convolution times the positions of its output. Biases, batch\n"
    "normalisation, pooling, resizing and activations do not count. With auxiliary heads: the network as it trains."
)
NO_NORMALISATION = "batch normalisation does not run in oneDNN and counts as everything else"
FORMER = "class map, folded, interpolated"
INTERPOLATED_NOTE = "interpolated: the form exported formerly, with resize operators; now resizes are products"
MEGAPIXEL_NOTE = (
    "Peak of three steps in a separate process. Megapixels: images x height x width / 10^6. The figure per\n"
    "megapixel includes the memory of compilation; that for a further one, the difference to the shape above, does\n"
    "not: larger batches take that much more."
)
INT8_NOTE = "int8: calibrated on random pictures, for timing only"
SILENT = "the oneDNN of this version printed no times, so there is no breakdown"


def render(results: dict) -> str:
    """Return the report of the results of `scripts/benchmark.py`: the chosen sections that have values."""
    steps = results.get("steps", [])
    forward, exported, train = (
        [row for row in steps if row["kind"] == kind] for kind in ("forward", "exported", "train")
    )
    measured: dict[str, tuple[Any, Callable[..., str]]] = {
        "pipeline": (results.get("pipeline"), pipeline_table),
        "forward": (forward, partial(steps_table, what=EVALUATION_NETWORK)),
        "exported": (exported, exported_table),
        "train": (train, partial(steps_table, what=TRAIN_STEP)),
        "evaluation": (results.get("evaluation"), evaluation_table),
        "startup": (forward + train, startup_table),
        "memory": (memory_rows(results), memory_table),
        "memory of training": (results.get("memory"), training_memory_table),
        "model": (results.get("model"), model_table),
    }
    parts = [machine_lines(results)]
    only = results["settings"]["only"]
    parts += [write(rows) for name, (rows, write) in measured.items() if rows and name.partition(" ")[0] in only]
    parts += [profile_table(row) for row in results.get("profile", [])]
    return "\n\n".join(parts)


def machine_lines(results: dict) -> str:
    """Return a description of the machine and of the figures."""
    devices = {row["device_target"] for row in results.get("steps", []) if row["framework"] == "MindSpore"}
    lines = {**results["machine"], **({"device target": ", ".join(sorted(devices))} if devices else {})}
    text = [f"{name + ':':15s}{value}" for name, value in lines.items()]
    text += ["", "Times: median (lowest .. highest). Sizes: height x width."]
    if results["settings"]["quick"]:
        text.append(
            "QUICK: tiny sizes and few scales, to see that everything runs. The figures say nothing about speed."
        )
    return "\n".join(text)


def label(row: dict) -> str:
    """Return the name of a step's framework and variant."""
    return " ".join(filter(None, (row["framework"], row["variant"])))


def steps_table(rows: Sequence[dict], what: str) -> str:
    """Return the table of forward passes or training steps, with MindSpore's time relative to PyTorch's."""
    lines = []
    for row in rows:
        ratio = ratio_of_medians(counterpart(row, rows)["ms"], row["ms"])
        lines.append(
            [
                label(row),
                shape_text(row["shape"]),
                row["precision"],
                spread(row["ms"]),
                str(len(row["ms"])),
                f"{row['peak_mb']:.0f}",
                f"{ratio:.2f}" if row["framework"] == "PyTorch" else "",
            ]
        )
    head = ["", "images", "precision", "ms", "samples", "peak MB", "MindSpore / this"]
    title = "Forward pass" if rows[0]["kind"] == "forward" else "Training step"
    return table(f"{title}, ms ({what})", head, lines)


def counterpart(row: dict, rows: Sequence[dict]) -> dict:
    """Return MindSpore's row of the same work; PyTorch's memory layouts all compare with the default one."""
    outputs = {"class map": "class map"} if row["kind"] == "forward" else {}
    output = outputs.get(row["variant"], "logits" if row["kind"] == "forward" else None)
    wanted = ("MindSpore", row["shape"], output)
    return next(other for other in rows if (other["framework"], other["shape"], other["variant"]) == wanted)


def exported_table(rows: Sequence[dict]) -> str:
    """Return the table of exported models, compared with PyTorch's network and the former MindIR of the same output."""
    lines = []
    for row in rows:
        same = [
            other
            for other in rows
            if other["framework"] == "PyTorch"
            and other["shape"] == row["shape"]
            and other["variant"] == row["variant"].partition(",")[0]
        ]
        former = [
            other
            for other in rows
            if other["variant"] == FORMER
            and other["shape"] == row["shape"]
            and row["variant"].startswith("class map")
            and other is not row
        ]
        own = row["framework"] == "PyTorch"
        ratios = [
            ratio_of_medians(row["ms"], others[0]["ms"]) if others else None for others in ([] if own else same, former)
        ]
        lines.append(
            [
                label(row),
                shape_text(row["shape"]),
                row["precision"],
                spread(row["ms"]),
                str(len(row["ms"])),
                *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            ]
        )
    head = ["", "images", "precision", "ms", "samples", "this / PyTorch", "this / interpolated"]
    text = table("Exported model, ms (MindSpore runs a MindIR; PyTorch runs its network eagerly)", head, lines)
    notes = [INTERPOLATED_NOTE] if any(row["variant"] == FORMER for row in rows) else []
    notes += [INT8_NOTE] if any("int8" in row["precision"] for row in rows) else []
    return "\n".join([text, *notes])


def pipeline_table(rows: Sequence[dict]) -> str:
    """Return the table of the training pipeline's speed."""
    lines = []
    for row in rows:
        images = size_text(row["image_size"]) if row["image_size"] else "your own"
        what = f"{row['batch_size']} of {images}, crop {size_text(row['crop_size'])}"
        rates = [[sample["rate"] for sample in row[name]] for name in ("pipeline", "decoding")]
        cpu = [summarize([sample["cpu_ms"] for sample in row[name]]).median for name in ("pipeline", "decoding")]
        lines.append(
            [
                str(row["workers"]),
                what,
                spread(rates[0], 1),
                f"{cpu[0]:.1f}",
                spread(rates[1], 1),
                f"{cpu[1]:.1f}",
                str(len(rates[0])),
            ]
        )
    head = ["workers", "batch", "images/s", "CPU ms/image", "decoding alone, images/s", "CPU ms/image", "samples"]
    return table("Reading training images, images/s", head, lines)


def protocol_text(protocol: dict) -> str:
    """Return the number of scales of an evaluation as text."""
    return f"{len(protocol['img_ratios'])} scales with flip" if protocol["flip"] else "single scale"


def evaluation_table(rows: Sequence[dict]) -> str:
    """Return the table of evaluation speed, with the time per image relative to its forward passes alone."""
    lines = []
    for row in rows:
        protocol, alone = row["protocol"], row["alone"]
        mirrored = 2 if protocol["flip"] else 1
        what = protocol_text(protocol)
        passes = sum(mirrored * summarize(samples).median for samples in alone["ms"])
        image = summarize(row["ms"]).median
        lines.append(
            [
                what,
                f"1 of {size_text(protocol['image_size'])}",
                row["precision"],
                spread(row["ms"]),
                f"{1000 / image:.2f}",
                str(len(row["ms"])),
                f"{mirrored * len(alone['ms'])}",
                f"{passes:.0f}",
                f"{image / passes:.2f}",
            ]
        )
    head = ["", "images", "precision", "ms/image", "images/s", "samples", "passes", "passes alone, ms", "ratio"]
    return table("Evaluation, reading and scoring included (MindSpore)", head, lines)


def startup_table(rows: Sequence[dict]) -> str:
    """Return the table of times until the first result; each figure is one sample."""
    lines = []
    for row in rows:
        compiling = (row["first_ms"] - summarize(row["ms"]).median) / 1000
        lines.append(
            [
                f"{label(row)}, {row['kind']}",
                shape_text(row["shape"]),
                row["precision"],
                f"{row['start_seconds']:.1f}",
                f"{compiling:.1f}",
            ]
        )
    head = ["", "images", "precision", "until the network is built, s", "first call - median, s"]
    text = table("Start-up (from the start of the process; the first call compiles the graph)", head, lines)
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row["framework"], []).append(row["start_seconds"])
    return "\n".join([text, *(f"{name} until built, all: {spread(values, 1)} s" for name, values in groups.items())])


def memory_rows(results: dict) -> list[list[str]]:
    """Return work, images, precision and largest resident set of each process."""
    lines = [
        [f"{label(row)}, {row['kind']}", shape_text(row["shape"]), row["precision"], f"{row['peak_mb']:.0f}"]
        for row in results.get("steps", [])
    ]
    for row in results.get("evaluation", []):
        what = protocol_text(row["protocol"])
        images = f"1 of {size_text(row['protocol']['image_size'])}"
        lines.append([f"MindSpore evaluation, {what}", images, row["precision"], f"{row['peak_mb']:.0f}"])
    for row in results.get("pipeline", []):
        images = f"{row['batch_size']} of {size_text(row['crop_size'])}"
        lines.append([f"data pipeline, workers: {row['workers']}", images, "uint8, float32", f"{row['peak_mb']:.0f}"])
    return lines


def memory_table(rows: Sequence[Sequence[str]]) -> str:
    """Return the table of the largest resident set of each process."""
    return table("Peak memory of a process (resident set)", ["", "images", "precision", "MB"], rows)


def training_memory_table(rows: Sequence[dict]) -> str:
    """Return the table of training memory by shape: peak, increase since before the first step, and per megapixel."""
    lines, notes = [], [MEGAPIXEL_NOTE]
    smaller: dict[str, tuple[float, float]] = {}
    for row in rows:
        if row.get("skipped"):
            notes.append(f"not measured: {label(row)}, {shape_text(row['shape'])}: {row['skipped']}")
            continue
        for place in ("host", "device"):
            if row[place] is None:
                continue
            before, peak = row[place]
            name, size = label(row) + (", of the device" if place == "device" else ""), megapixels(row["shape"])
            figures = [peak, before, peak - before, (peak - before) / size]
            first_size, first_peak = smaller.get(name, (size, peak))
            figures += [(peak - first_peak) / (size - first_size)] if size > first_size else []
            smaller[name] = size, peak
            texts = [f"{figure:.0f}" for figure in figures] + [""] * (size == first_size)
            lines.append([name, shape_text(row["shape"]), row["precision"], *texts])
        if row["device"] is None and row["device_target"] != "CPU":
            notes.append(f"{label(row)}, {shape_text(row['shape'])}: this version does not report the device's memory")
    head = ["", "images", "precision", "peak", "before the first step", "above that", "a megapixel", "a further one"]
    return "\n".join([table(f"Memory of a training step, MB ({TRAIN_STEP})", head, lines), *notes])


def megapixels(shape: Sequence[int]) -> float:
    """Return the millions of pixels of a batch of `shape` (N, 3, H, W)."""
    images, _, height, width = shape
    return images * height * width / 1e6


def model_table(rows: Sequence[dict]) -> str:
    """Return the table of parameters and multiply-adds."""
    lines = [
        [
            row["framework"],
            "yes" if row["aux_heads"] else "no",
            size_text(row["size"]),
            f"{row['parameters']:,}",
            f"{row['macs'] / 1e9:.3f}",
        ]
        for row in rows
    ]
    text = table("Model", ["", "auxiliary heads", "image", "parameters", "10^9 multiply-adds"], lines)
    return f"{text}\n{MACS_NOTE}"


def profile_table(row: dict) -> str:
    """Return the table of the time of one step by kind of primitive."""
    what = f"{label(row)}, {row['kind']}, {shape_text(row['shape'])}, {row['precision']}"
    if not any(step["kinds"] for step in row["steps"]):
        return f"Where the time goes: {what}: {SILENT}"
    total = summarize([step["ms"] for step in row["steps"]])
    kinds = {**median_by_kind(row["steps"]), "whole step": total.median}
    lines = [[kind, f"{value:.1f}", f"{100 * value / total.median:.1f}"] for kind, value in kinds.items()]
    title = f"Where the time goes: {what}\n(oneDNN's own times, medians of {total.number} steps)"
    text = table(title, ["", "ms", "% of the step"], lines)
    return text if any("normalization" in kind for kind in kinds) else f"{text}\n{NO_NORMALISATION}"
