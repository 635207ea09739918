"""The manifest of preprocessed inputs: their files, and how to map a result back to its picture."""

from __future__ import annotations

import itertools
import json
import reprlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from src.base.errors import DataError, one_line
from src.base.files import write_whole
from src.base.json_text import read_json
from src.base.json_values import typed
from src.base.paths import name_problem

NAME = "manifest.json"
VERSION = 1
LONGEST = 1_000_000_000  # bytes; the file has a line for each picture


@dataclass(frozen=True)
class ManifestSample:
    """One picture; sizes are (height, width)."""

    stem: str
    image: str  # path of the picture
    fitted: tuple[int, int]  # part of the network's input that the picture covers; the rest is padding
    label_size: tuple[int, int]  # size of picture and label


@dataclass(frozen=True)
class Manifest:
    """The output of `preprocess.py`; `complete` is false while it runs and if it was stopped."""

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
        """Write the manifest to ``{folder}/manifest.json``."""
        values = asdict(self)
        samples = ",\n    ".join(json.dumps(sample) for sample in values.pop("samples"))
        head = json.dumps(values, indent=2)[:-2]
        write_whole(folder / NAME, f'{head},\n  "samples": [\n    {samples}\n  ]\n}}\n'.encode())


def read_manifest(folder: Path) -> Manifest:
    """Read ``{folder}/manifest.json``.

    Raises:
        DataError: it is missing, of another version or damaged: a value has the wrong type or contradicts another one.
    """
    path = folder / NAME
    try:
        values = read_json(path, LONGEST)
        version = values.get("version", VERSION) if isinstance(values, dict) else VERSION
        if version != VERSION:
            raise DataError(f"{path}: version {reprlib.repr(version)}, expected {VERSION}; run preprocess.py again")
        manifest = typed(values, Manifest)
        _require_sound(manifest)
        return manifest
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file; preprocess.py writes it beside its folders image and label") from err
    except OSError as err:
        raise DataError(f"{path}: cannot be read: {err.strerror or err}") from err
    except ValueError as err:
        raise DataError(f"{path}: damaged; run preprocess.py again ({one_line(err)})") from err


def _require_sound(manifest: Manifest) -> None:
    """Raise a ValueError if values of the right types contradict each other or are out of range."""
    samples, number = manifest.samples, manifest.num_classes
    stems = [sample.stem for sample in samples]
    names = [*manifest.stems, *stems, *(sample.image for sample in samples)]
    colors = itertools.chain(*manifest.palette)
    fitting = all(1 <= own <= size for s in samples for own, size in zip(s.fitted, manifest.image_size))
    for fits, problem in (
        (not any(map(name_problem, names)), "a stem or image is not a file name"),
        (not any("/" in stem for stem in (*manifest.stems, *stems)), "a stem is a path"),
        (manifest.input in ("float32", "uint8"), "input is neither float32 nor uint8"),
        (min(manifest.image_size) > 0, "image_size is not positive"),
        (1 <= number <= manifest.ignore_label <= 255, "expected 1 <= num_classes <= ignore_label <= 255"),
        (len(manifest.class_names) == len(manifest.palette) == number, "not a name and a colour for each class"),
        (all(0 <= value <= 255 for value in colors), "colours are not 0..255"),
        (fitting, "a picture's fitted is not within image_size"),
        (all(min(sample.label_size) > 0 for sample in samples), "a label_size is not positive"),
        (not manifest.complete or sorted(stems) == sorted(set(manifest.stems)), "samples are not those of stems"),
    ):
        if not fits:
            raise ValueError(problem)


def input_name(stem: str) -> str:
    """Return the file name of a network input or label."""
    return f"{stem}.bin"


def result_name(stem: str) -> str:
    """Return the file name of the first output, by the convention of the C++ runner."""
    return f"{stem}_0.bin"


def input_files(stems: Iterable[str]) -> set[str]:
    """Return the files of a preprocessed folder, relative to it."""
    return {NAME} | {f"{folder}/{input_name(stem)}" for stem in stems for folder in ("image", "label")}
