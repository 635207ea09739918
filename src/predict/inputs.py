"""What to predict: one image, all images below a folder, or a video."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2

from src.base.errors import ConfigError, DataError
from src.base.files import holds_anything
from src.base.paths import fitting
from src.base.special_files import special_kind

logger = logging.getLogger(__name__)

RECORD = "prediction.json"  # in the folder of the results: what they were made with
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")


class ImageFile(NamedTuple):
    """One image to predict."""

    path: str
    name: str  # of its results: relative to the input folder, with "/", ending in .png


def silence_opencv() -> None:
    """Keep OpenCV and its video library from writing to standard error: what they complain of is an error here."""
    cv2.setLogLevel(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when the first video is opened


def list_inputs(source: Path) -> list[ImageFile]:
    """Return the image `source`, or all images below that folder by name, hidden ones left out; none for a video.

    Links to folders are followed, unless they lead back to a folder they lie in. A result is named after its image,
    with the image's own suffix inside where two would share a name.

    Raises:
        DataError: there is no such file or folder, no image in it, or two results would have one name.
    """
    if not source.exists():
        raise DataError(f"--input {source}: no such file or folder")
    kind = special_kind(source)
    if kind:
        raise DataError(f"--input {source}: is {kind}, no regular file; give an image, a folder or a video")
    if not source.is_dir():
        if source.suffix.lower() in VIDEO_SUFFIXES:
            return []
        return [ImageFile(str(source), f"{source.stem}.png")]
    found = sorted(path.relative_to(source) for path in _images_below(source, ()))
    if not found:
        raise DataError(f"--input {source}: holds no image ({', '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)})")
    return [ImageFile(str(source / path), name) for path, name in zip(found, _result_names(found))]


def _images_below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Yield the images in a folder and below it; `above` are the folders it lies in, without links.

    What is no file, as a named pipe or a link that leads nowhere, counts as an image if it is called like one: reading
    it says so.
    """
    place = os.path.realpath(folder)
    if place in above:
        return  # its images are there already
    try:
        entries = list(folder.iterdir())
    except OSError as err:
        logger.warning("%s: left out, it cannot be read: %s", folder, err.strerror)
        return
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _images_below(path, (*above, place))
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield path


def _result_names(paths: list[Path]) -> list[str]:
    plain = [path.with_suffix(".png").as_posix() for path in paths]
    shared = {name for name, times in Counter(map(str.lower, plain)).items() if times > 1}
    names = [
        path.with_name(fitting(f"{path.name}.png")).as_posix() if name.lower() in shared else name
        for path, name in zip(paths, plain)
    ]  # cat.jpg and cat.png: cat.jpg.png and cat.png.png
    named: dict[str, Path] = {}
    for path, name in zip(paths, names):
        other = named.setdefault(name.lower(), path)  # some file systems do not tell case apart
        if other != path:
            raise DataError(f"{path} and {other} would both be called {name} in the results; rename one of them")
    return names


def check_output(output: Path, source: Path, *, resume: bool = False) -> None:
    """Refuse a folder for the results that holds anything, or from which a later run would read its input.

    Hidden files are no content, such as the .DS_Store of a Mac.

    Args:
        output: the folder.
        source: the input.
        resume: content is welcome.

    Raises:
        ConfigError: such a folder.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output}: is a file, not a folder")
    if not resume and holds_anything(output):
        more = ", or go on there with --resume True" if (output / RECORD).exists() else ""
        raise ConfigError(f"--output {output}: not empty; take an empty or a new folder{more}")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"--output {output}: lies in the input folder, whose images a later run would take it for")
