"""The classes of a data set: names, colours, and their values in label files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from src.config import schema
from src.config.label_maps import parse_colors
from src.config.registry import DATASETS

SHOWN_NAMES = 3


class LabelClass(NamedTuple):
    """One evaluated class; its train id is its position among the classes, the colour is RGB."""

    name: str
    label_id: int
    color: tuple[int, int, int]


class Folders(NamedTuple):
    """The layout without a list: ``{images}/{split}/<city>/<name>{image_suffix}``, and the same for labels."""

    images: str
    image_suffix: str
    labels: str
    label_suffix: str


@dataclass(frozen=True)
class Dataset:
    """A data set, selected by ``data.name``.

    Args:
        title: name of the data set in messages.
        classes: the evaluated classes by train id; without any, num_classes counts them and label files hold train ids.
        label_ids: with `classes`, label files hold 0 ... label_ids - 1 and `void`; other values are errors.
        void: a further value of label files, which belongs to no class.
        folders: layout of a split without a list; None = a list is required.
        hint: with `classes`, message for label files with other values.
    """

    title: str
    classes: tuple[LabelClass, ...] = ()
    label_ids: int = 256
    void: int = 255
    folders: Folders | None = None
    hint: str = "no label ids of this data set"

    def train_id_table(self, ignore_label: int) -> np.ndarray | None:
        """Return a (256,) uint8 table from label id to train id, `ignore_label` for others; None if they are equal."""
        if not self.classes:
            return None
        table = np.full(256, ignore_label, np.uint8)
        for train_id, cls in enumerate(self.classes):
            table[cls.label_id] = train_id
        return table

    def label_id_table(self) -> np.ndarray:
        """Return a (256,) uint8 table from train id to label id, 0 for others; the identity without `classes`."""
        if not self.classes:
            return np.arange(256, dtype=np.uint8)
        table = np.zeros(256, np.uint8)
        table[: len(self.classes)] = [cls.label_id for cls in self.classes]
        return table


GENERIC = Dataset("generic")  # the user's own classes; images in train.lst and val.lst


def class_names(config: schema.Config) -> tuple[str, ...]:
    """Return the names of the classes, by train id."""
    classes = DATASETS[config.data.name].classes
    if config.data.class_names:
        return config.data.class_names
    if classes:
        return tuple(cls.name for cls in classes)
    return tuple(map(numbered_name, range(config.num_classes)))


def numbered_name(number: int) -> str:
    """Return the name of a class that has none of its own."""
    return f"class {number}"


def known_names(config: schema.Config) -> tuple[str, ...] | None:
    """Return the class names from the configuration or the data set; None if there are only numbers."""
    return config.data.class_names or tuple(cls.name for cls in DATASETS[config.data.name].classes) or None


def class_problems(config: schema.Config, number: int | None, names: Sequence[str] | None) -> list[str]:
    """Return in one line how the classes of a training differ from the configured ones, and what to do.

    Args:
        config: the configuration in use.
        number: number of classes in training; None if unknown.
        names: names of these classes, by train id; None if unknown.
    """
    own = known_names(config)
    ours, theirs = ([name.strip().casefold() for name in known or ()] for known in (own, names))
    if number in (None, config.num_classes) and (not ours or not theirs or ours == theirs):
        return []
    order = ", in another order" if theirs and sorted(ours) == sorted(theirs) else ""
    trained, configured = _describe_classes(number, names), _describe_classes(config.num_classes, own)
    return [
        f"trained on {trained}, configured are {configured}{order}; give the configuration of that training, "
        "--config with the config.yml of its run, or its data.class_names"
    ]


def _describe_classes(number: int | None, names: Sequence[str] | None) -> str:
    more = ", ..." if names and len(names) > SHOWN_NAMES else ""
    return f"{number or len(names or ())} classes" + (f" ({', '.join(names[:SHOWN_NAMES])}{more})" if names else "")


def class_palette(config: schema.Config) -> np.ndarray:
    """Return the RGB colour of each class, (num_classes, 3) uint8, from its labels if these have colours."""
    classes, data = DATASETS[config.data.name].classes, config.data
    if classes:
        return np.array([cls.color for cls in classes], np.uint8)
    palette = generic_palette(config.num_classes)
    colors = parse_colors(data.label_colors or {}, config.num_classes, data.ignore_label)
    for color, train_id in reversed(colors.items()):  # reversed, so that the first of several colours of a class wins
        if train_id < config.num_classes:
            palette[train_id] = color
    return palette


def generic_palette(num_classes: int) -> np.ndarray:
    """Return (num_classes, 3) uint8 RGB colours that are easy to distinguish, the same ones every time.

    Each colour is the point of a fixed grid farthest from black (the ignored label), white and all previous colours.
    """
    levels = np.array([0, 36, 73, 109, 146, 182, 219, 255])
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen, distance = [np.array([0, 0, 0]), np.array([255, 255, 255])], np.full(len(grid), np.inf)
    for _ in range(num_classes):
        for color in chosen[-2:]:
            red = (grid[:, 0] + color[0]) / 512  # the eye weighs red more and blue less in bright red colours
            weights = np.stack([2 + red, np.full_like(red, 4), 3 - red], axis=1)
            distance = np.minimum(distance, (weights * (grid - color) ** 2).sum(axis=1))
        chosen.append(grid[distance.argmax()])
    return np.array(chosen[2:], np.uint8).reshape(-1, 3)
