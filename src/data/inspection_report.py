"""The report of a data set's inspection, as text and as JSON values. Needs no MindSpore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from src.config import schema
from src.data.inspection import WEIGHT_FORMULA, WEIGHT_SOURCE, Problem, SplitFacts, class_weights

SHOWN_SIZES = 10  # the most frequent ones; the JSON has all of them


def split_lines(split: str, facts: SplitFacts, names: Sequence[str]) -> list[str]:
    """Return the lines about a split: number of pairs, sizes, and a table of the classes."""
    lines = [f"{split}: {facts.pairs} pairs of image and label", f"  sizes, height x width: {_sizes(facts)}"]
    width = max(map(len, ("ignored", *names)))
    lines.append(f"  {'id':>3}  {'class':<{width}}  {'pixels':>14}  {'share':>9}  images")
    for number, (name, share) in enumerate(zip(names, facts.shares().tolist())):
        pixels, images = facts.pixels[number], facts.images[number]
        lines.append(f"  {number:>3}  {name:<{width}}  {pixels:>14}  {share:>9.4%}  {images:>6}")
    lines.append(f"  {'':>3}  {'ignored':<{width}}  {facts.ignored:>14}  {facts.ignored_share():>9.4%}  of all pixels")
    absent = [name for name, pixels in zip(names, facts.pixels.tolist()) if not pixels]
    if absent:
        lines.append(f"  never occurs: {', '.join(absent)}")
    return lines


def map_lines(facts: SplitFacts, names: Sequence[str]) -> list[str]:
    """Return a table of how the configured map translates the values in label files; empty without a map."""
    rows = _map_rows(facts)
    if not rows:
        return []
    value_width = max(map(len, ("value", *(row["value"] for row in rows))))
    class_width = max(map(len, ("ignored", *names)))
    lines = [f"  {facts.coding.key}: what becomes of the values in the files"]
    lines.append(f"  {'value':>{value_width}}  {'id':>3}  {'class':<{class_width}}  {'pixels':>14}")
    for row in rows:
        number = row["id"]
        ignored = number >= len(names)
        name, shown = ("ignored", "") if ignored else (names[number], number)
        if row["pixels"]:
            lines.append(f"  {row['value']:>{value_width}}  {shown:>3}  {name:<{class_width}}  {row['pixels']:>14}")
    absent = [row["value"] for row in rows if not row["pixels"]]
    return lines + ([f"  in the map, but in no file: {', '.join(absent)}"] if absent else [])


def _map_rows(facts: SplitFacts) -> list[dict]:
    values = facts.coding.values
    return [
        {"value": text, "id": train_id, "pixels": int(facts.values[value])}
        for value, (text, train_id) in values.items()
    ]


def _sizes(facts: SplitFacts) -> str:
    common = facts.sizes.most_common(SHOWN_SIZES)
    text = ", ".join(f"{count} of {height}x{width}" for (height, width), count in common) or "none"
    more = len(facts.sizes) - len(common)
    return f"{text}, and {more} more sizes" if more else text


def weight_lines(facts: SplitFacts) -> list[str]:
    """Return the lines that propose class weights, the last of them an override to paste; empty without pixels."""
    if not facts.pixels.any():
        return []
    weights = ",".join(f"{weight:.4f}" for weight in class_weights(facts.shares()))
    return [
        "class weights, a proposal:",
        f"  {WEIGHT_FORMULA}",
        f"  ({WEIGHT_SOURCE})",
        f"  data.map_label=[{weights}]",
    ]


def report_as_json(
    config: schema.Config, names: Sequence[str], splits: Mapping[str, SplitFacts], problems: Mapping[str, list[Problem]]
) -> dict:
    """Return the whole report as mappings and lists; `splits` has the splits that could be listed, by name."""
    train = splits.get("train")
    weights = None
    if train is not None and train.pixels.any():
        values = [round(weight, 4) for weight in class_weights(train.shares())]
        weights = {"formula": WEIGHT_FORMULA, "source": WEIGHT_SOURCE, "map_label": values}
    return {
        "dataset_dir": config.data.dataset_dir,
        "name": config.data.name,
        "num_classes": config.num_classes,
        "ignore_label": config.data.ignore_label,
        "splits": {split: _split_tree(facts, names) for split, facts in splits.items()},
        "class_weights": weights,
        "problems": [{"split": split, **problem._asdict()} for split, found in problems.items() for problem in found],
        "remarks": [{"split": split, "message": line} for split, facts in splits.items() for line in facts.remarks],
    }


def _split_tree(facts: SplitFacts, names: Sequence[str]) -> dict:
    rows = zip(names, facts.pixels.tolist(), facts.shares().tolist(), facts.images.tolist())
    return {
        "pairs": facts.pairs,
        "sizes": [{"height": h, "width": w, "images": count} for (h, w), count in facts.sizes.most_common()],
        "classes": [
            {"id": number, "name": name, "pixels": pixels, "share": share, "images": images}
            for number, (name, pixels, share, images) in enumerate(rows)
        ],
        "label_map": _map_rows(facts),
        "ignored": {"pixels": facts.ignored, "share": facts.ignored_share()},
        "impossible": {"pixels": facts.invalid},
    }
