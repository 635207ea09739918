"""The manifest of preprocessed inputs: which files there are, and how a result leads back to a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from src.base.errors import DataError
from src.base.files import write_whole
from src.base.json_text import read_json
from src.base.paths import name_problem

NAME = "manifest.json"
VERSION = 1
LONGEST = 1_000_000_000  # bytes; a line for each picture


@dataclass(frozen=True)
class ManifestSample:
    """One picture; sizes are (height, width)."""

    stem: str
    image: str  # the picture's file
    fitted: tuple[int, int]  # what the picture covers of the network's input; the rest is padding
    label_size: tuple[int, int]  # of picture and label


@dataclass(frozen=True)
class Manifest:
    """What `preprocess.py` wrote. While `complete` is false it is still at work, or was stopped."""

    input: str
    image_size: tuple[int, int]
    num_classes: int
    ignore_label: int
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    samples: tuple[ManifestSample, ...]
    stems: tuple[str, ...]
    complete: bool
    version: int = VERSION

    def write(self, folder: Path) -> None:
        """Write it to ``{folder}/manifest.json``."""
        values = asdict(self)
        samples = ",\n    ".join(json.dumps(sample) for sample in values.pop("samples"))
        head = json.dumps(values, indent=2)[:-2]
        write_whole(folder / NAME, f'{head},\n  "samples": [\n    {samples}\n  ]\n}}\n'.encode())


def read_manifest(folder: Path) -> Manifest:
    """Read ``{folder}/manifest.json``.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / NAME
    try:
        values = read_json(path, LONGEST)
        samples = tuple(
            ManifestSample(s["stem"], s["image"], tuple(s["fitted"]), tuple(s["label_size"])) for s in values["samples"]
        )
        if any(map(name_problem, [sample.stem for sample in samples] + values["stems"])):
            raise ValueError("no names of files")
        if values["version"] != VERSION:
            raise DataError(f"{path}: version {values['version']}, expected {VERSION}; run preprocess.py again")
        lists = {name: tuple(values[name]) for name in ("image_size", "class_names", "stems")}
        palette = tuple(map(tuple, values["palette"]))
        return Manifest(**{**values, **lists, "palette": palette, "samples": samples})
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file; preprocess.py writes it beside its folders image and label") from err
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as err:
        raise DataError(f"{path}: damaged; run preprocess.py again") from err


def input_name(stem: str) -> str:
    """Return the file name of a network input or label."""
    return f"{stem}.bin"


def result_name(stem: str) -> str:
    """Return the file name of the first output, by the convention."""
    return f"{stem}_0.bin"


def input_files(stems: Iterable[str]) -> set[str]:
    """Return the files of a preprocessed folder, relative to it."""
    return {NAME} | {f"{folder}/{input_name(stem)}" for stem in stems for folder in ("image", "label")}
