"""What the results in a folder were made with, so that a prediction that was interrupted goes on with the same."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.base.errors import ConfigError, DataError
from src.base.files import make_folder, write_whole
from src.base.json_text import read_json
from src.config import schema
from src.config.saved import to_dict
from src.data.image_files import read_png_header
from src.predict.inputs import RECORD, ImageFile
from src.predict.outputs import KINDS

logger = logging.getLogger(__name__)


def make_record(
    config: schema.Config, model: Path, source: Path, image_size: Sequence[int] | None, colors: dict
) -> dict:
    """Return, as JSON holds it, what the results depend on.

    Args:
        config: network, normalisation, scales and mirroring.
        model: checkpoint or exported model, told by its content.
        source: image, folder or video.
        image_size: height and width that images are fitted into, if the user named them.
        colors: the classes' colours, which are in the pictures as well.

    Raises:
        ConfigError: the model cannot be read.
    """
    try:
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as err:
        raise ConfigError(f"{model}: cannot be read: {err.strerror}") from err
    transforms = to_dict(config.data.eval_transforms)
    unused = [] if transforms["multi_scale"] else ["img_ratios"]
    unused += ["crop_batch"] if transforms["crop_size"] else ["crop_batch", "crop_size", "crop_stride"]
    transforms = {name: value for name, value in transforms.items() if name not in unused}
    options = {"net": config.net, "net_args": to_dict(config.net_args), "num_classes": config.num_classes}
    options |= {"image_size": image_size, **transforms, **colors}
    if config.weights != "model":
        options["weights"] = config.weights
    record = {"model": str(model.resolve()), "sha256": digest, "input": str(source.resolve()), "options": options}
    return json.loads(json.dumps(record, default=np.ndarray.tolist))


def write_record(folder: Path, record: dict) -> None:
    """Write the record of a prediction before its first result.

    Raises:
        UserError: it cannot be written.
    """
    make_folder(folder)
    write_whole(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())


def check_record(folder: Path, record: dict) -> None:
    """Refuse to go on in a folder with results that were made with anything else than `record` says.

    Raises:
        ConfigError: saying what differs, or that the folder has no record that can be read.
    """
    path = folder / RECORD
    try:
        before = read_json(path)
        options, model, digest, source = (before[name] for name in ("options", "model", "sha256", "input"))
        names = options.keys() | record["options"].keys()
    except FileNotFoundError as err:
        raise ConfigError(f"--resume: {folder} holds no {RECORD}; take a new folder") from err
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise ConfigError(f"--resume: {path}: cannot be read; take a new folder") from err
    differing = [f"the model was {model}"] * (digest != record["sha256"])
    differing += [f"--input was {source}"] * (source != record["input"])
    differing += [
        f"{name} was {_short(options.get(name))}, is {_short(record['options'].get(name))}"
        for name in sorted(names)
        if options.get(name) != record["options"].get(name)
    ]
    if differing:
        raise ConfigError(f"--resume: {folder} was begun otherwise: {'; '.join(differing)}; take a new folder")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else "another one"


def missing_results(files: Sequence[ImageFile], folder: Path) -> list[ImageFile]:
    """Return the `files` of which `folder` does not hold every picture, whole."""
    return [file for file in files if not all(_is_whole(folder / kind / file.name) for kind in KINDS)]


def _is_whole(path: Path) -> bool:
    try:
        return read_png_header(str(path)) is not None
    except (DataError, OSError):
        return False
