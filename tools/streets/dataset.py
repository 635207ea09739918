"""A folder of rendered scenes in the layout of Cityscapes, made once and reused.

A manifest records the options that the folder was made with. It is written first, so that an interrupted run is
recognised and completed; every picture is written atomically.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2

from src.base.errors import DataError, UserError
from src.base.files import holds_anything, make_folder, write_whole
from src.base.json_text import read_json
from src.base.special_files import is_hidden
from src.data.cityscapes import IMAGE_SUFFIX, LABEL_SUFFIX
from src.visual.visualize import write_png
from tools.streets.scene import render_scene

MANIFEST = "demo_dataset.json"
VERSION = 1  # increase it whenever the same options give other pictures
CITIES = {"train": "demoville", "val": "mockton", "test": "fauxfield"}
IMAGE_ROOT, LABEL_ROOT = "leftImg8bit", "gtFine"
_SMALLEST, _LARGEST = 32, 4096  # pixels per side


@dataclass(frozen=True)
class DemoOptions:
    """Options of a demonstration data set.

    Attributes:
        height: rows of every picture.
        width: columns of every picture.
        train: number of training pictures.
        val: number of validation pictures.
        test: number of test pictures, which also have labels.
        seed: seed of all pictures; two seeds have no picture in common.
    """

    height: int = 256
    width: int = 512
    train: int = 160
    val: int = 24
    test: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise a UserError that names every option that is out of range."""
        ranges = {
            "height": (_SMALLEST, _LARGEST),
            "width": (_SMALLEST, _LARGEST),
            "train": (1, 999_999),
            "val": (1, 999_999),
            "test": (0, 999_999),
            "seed": (0, 2**32 - 1),
        }
        problems = [
            f"{name} must lie in {low}..{high}, got {getattr(self, name)}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ]
        if problems:
            raise UserError("; ".join(problems))

    def scenes(self) -> list[tuple[str, int]]:
        """Return split and number of every picture."""
        return [(split, index) for split in CITIES for index in range(getattr(self, split))]


def pair_paths(root: Path, split: str, index: int) -> tuple[Path, Path]:
    """Return the paths of a photograph and its label."""
    city = CITIES[split]
    stem = f"{city}_{index:06d}_000000"
    return (
        root / IMAGE_ROOT / split / city / f"{stem}{IMAGE_SUFFIX}",
        root / LABEL_ROOT / split / city / f"{stem}{LABEL_SUFFIX}",
    )


def missing_scenes(root: Path, options: DemoOptions) -> list[tuple[str, int]]:
    """Return split and number of the pictures that are missing.

    Raises:
        DataError: the folder holds other files; nothing was changed.
    """
    _check_folder(root, options)
    scenes = options.scenes()
    paths = {scene: pair_paths(root, *scene) for scene in scenes}
    _refuse_strangers(root, {path for pair in paths.values() for path in pair})
    return [scene for scene in scenes if not all(path.is_file() for path in paths[scene])]


def _check_folder(root: Path, options: DemoOptions) -> None:
    """Raise a DataError unless the folder is missing, empty, or a complete or partial data set of these options."""
    manifest = root / MANIFEST
    try:
        if not holds_anything(root):
            return
        found = read_json(manifest) if manifest.is_file() else None
    except (OSError, ValueError) as err:
        raise DataError(f"{root}: cannot be used: {getattr(err, 'strerror', None) or err}") from err
    if found is None:
        raise DataError(f"{root} holds something else and is left as it is; take another folder")
    wanted = _manifest(options)
    if found != wanted:
        found = found if isinstance(found, dict) else {}
        differences = ", ".join(f"{key} {found.get(key)}" for key in wanted if found.get(key) != wanted[key])
        raise DataError(f"{root} holds a demonstration data set with {differences}; take another folder")


def _refuse_strangers(root: Path, own: set[Path]) -> None:
    """Raise a DataError if the folder holds a picture that would be mistaken for one of the data set."""
    found = [
        path
        for part, suffix in ((IMAGE_ROOT, IMAGE_SUFFIX), (LABEL_ROOT, LABEL_SUFFIX))
        for path in (root / part).glob(f"*/*/*{suffix}")
    ]
    strangers = sorted(path for path in set(found) - own if not is_hidden(path.relative_to(root)))
    if strangers:
        raise DataError(f"{strangers[0]} is not part of the demonstration data set; move it, or take another folder")


def _manifest(options: DemoOptions) -> dict[str, int]:
    return {"version": VERSION, **asdict(options)}


def make_scenes(root: Path, options: DemoOptions, scenes: list[tuple[str, int]], workers: int) -> Iterator[int]:
    """Render pictures into a folder checked by `missing_scenes`; yield the number made so far.

    Raises:
        UserError: a file cannot be written.
    """
    for split, index in scenes:
        for path in pair_paths(root, split, index):
            make_folder(path.parent)
    write_whole(root / MANIFEST, (json.dumps(_manifest(options), indent=2) + "\n").encode())
    make = partial(_make_scene, root, options)
    if workers == 1:
        for count, scene in enumerate(scenes, start=1):
            make(scene)
            yield count
        return
    # Processes, because most of the work is in Python; spawned, because a fork copies locks that threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as executor:
        for count, _ in enumerate(executor.map(make, scenes), start=1):
            yield count


def _make_scene(root: Path, options: DemoOptions, scene: tuple[str, int]) -> None:
    split, index = scene
    image, label = render_scene((options.seed, list(CITIES).index(split), index), (options.height, options.width))
    image_path, label_path = pair_paths(root, split, index)
    write_png(label_path, label)
    write_png(image_path, image)
