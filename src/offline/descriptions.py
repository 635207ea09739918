"""Descriptions of exported models: the file that export.py writes beside a model, or the metadata of an ONNX file."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.base.errors import ConfigError, UserError, one_line
from src.base.files import make_folder, write_whole
from src.base.json_text import read_json
from src.base.json_values import optional, typed
from src.data.classes import numbered_name
from src.offline import onnx_model
from src.offline.tensors import ModelError, input_size, read_model
from src.state.checkpoint_names import description_name
from src.state.checkpoint_origin import require_normalize

logger = logging.getLogger(__name__)

_REQUIRED = {"input": str, "image_size": tuple[int, int]}
_NULLABLE = {"num_classes": int, "normalize": dict, "class_names": tuple[str, ...]}
_REQUIRED_KEYS = {*_REQUIRED, "num_classes", "normalize"}


@dataclass(frozen=True)
class Description:
    """How to prepare the input of a model; unknown values are None.

    Attributes:
        source: the file with the description.
        input: "float32" or "uint8".
        image_size: height and width.
        num_classes: number of classes.
        normalize: arguments of the transform Normalize.
        class_names: names by train id.
    """

    source: Path
    input: str
    image_size: tuple[int, int]
    num_classes: int | None = None
    normalize: dict | None = None
    class_names: tuple[str, ...] | None = None


def description_path(model: Path) -> Path:
    """Return the path of the description beside a model."""
    return model.with_name(description_name(model.name))


def publish(model: bytes, target: Path, record: dict) -> dict:
    """Write a model to `target` and its description beside it; return the description.

    Raises:
        UserError: one of them cannot be written; then neither is left.
    """
    description = description_path(target)
    record = {"file": target.name, "bytes": len(model), "sha256": hashlib.sha256(model).hexdigest(), **record}
    make_folder(target.parent)
    write_whole(description, (json.dumps(record, indent=2) + "\n").encode(), "the description ")
    try:
        write_whole(target, model, "the model ")
    except UserError:
        description.unlink(missing_ok=True)
        raise
    return record


def read_description(model: Path) -> Description | None:
    """Return the description of a model; None if a model other than ONNX has none.

    An ONNX file is opened: its inputs and outputs must agree with the description.

    Raises:
        ConfigError: the description is damaged or belongs to another model.
        ModelError: the model is damaged, or an ONNX file that cannot be used.
    """
    require_intact(model)
    beside = description_path(model)
    written = parse(beside, _read(beside)) if beside.is_file() else None
    return _describe_onnx(model, written) if model.suffix == ".onnx" else written


def require_intact(model: Path) -> None:
    """Compare a model with the checksum in the description beside it, if there is one.

    Raises:
        ModelError: the model is not the file that export.py wrote.
        ConfigError: the description is damaged.
    """
    beside = description_path(model)
    record = _read(beside) if beside.is_file() and model.is_file() else None
    checksum = record.get("sha256") if isinstance(record, dict) else None
    if checksum not in (None, hashlib.sha256(read_model(model, ModelError)).hexdigest() if checksum else None):
        raise ModelError(f"{model}: damaged, or not the model that {beside} describes: copy or export it again")


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as err:
        raise _not_a_description(path, err) from err


def parse(source: Path, record: Any) -> Description:
    """Return the description in `record`, which was read from the file `source`.

    Raises:
        ConfigError: a required value is missing, or a value is impossible.
    """
    try:
        missing = _REQUIRED_KEYS - typed(record, dict).keys()
        if missing:
            raise ValueError(f"lacks {', '.join(sorted(missing))}")
        values = {name: typed(record[name], hint, name) for name, hint in _REQUIRED.items()}
        values.update({name: optional(record.get(name), hint, name) for name, hint in _NULLABLE.items()})
        _require_sound(values)
    except ValueError as err:
        raise _not_a_description(source, err) from err
    names = values.pop("class_names")
    return Description(source, **values, class_names=names if names and names[0] != numbered_name(0) else None)


def _require_sound(values: dict) -> None:
    """Raise a ValueError if values of the right types contradict each other or are out of range."""
    number, names = values["num_classes"], values["class_names"]
    if values["input"] not in ("float32", "uint8"):
        raise ValueError(f"input: expected float32 or uint8, got {values['input'][:20]!r}")
    if min(*values["image_size"], 1 if number is None else number) < 1:
        raise ValueError("image_size and num_classes: expected numbers above 0")
    if names and number not in (None, len(names)):
        raise ValueError(f"class_names: {len(names)} of {number} classes")
    require_normalize(values["normalize"])


def _not_a_description(source: Path, err: Exception) -> ConfigError:
    is_inside = source.suffix == ".onnx"
    what = "its metadata are" if is_inside else "is"
    where = "into" if is_inside else "beside"
    reason = f"({one_line(err)}); export the model again"
    return ConfigError(f"{source}: {what} not the description that export.py writes {where} a model {reason}")


def _describe_onnx(path: Path, written: Description | None) -> Description:
    model = onnx_model.OnnxModel(path)
    if written is None and "image_size" in (record := model.metadata()):
        written = parse(path, record)
    classes = model.output.shape[1] if len(model.output.shape) == 4 else None
    found = Description(path, model.input.dtype, input_size(path, model.input), classes)
    if written is None:
        logger.warning("%s: states neither normalisation nor class names; assuming those of the configuration", path)
        return found
    for name in ("input", "image_size", "num_classes"):
        said, is_so = getattr(written, name), getattr(found, name)
        if is_so is not None and said != is_so:
            raise ConfigError(
                f"{written.source} says {name} {said}, but {path} has {is_so}: another model's description"
            )
    return written
