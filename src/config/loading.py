"""The configuration for Python code: a YAML file, and changes to it as plain values. Needs no MindSpore."""

from __future__ import annotations

import copy
import dataclasses
import enum
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.base.errors import ConfigError
from src.base.paths import path_argument
from src.config import schema
from src.config.builder import build_config, shown
from src.config.registry import NETWORKS
from src.config.saved import to_dict
from src.config.schema_base import problem_unless, refuse
from src.config.yaml_files import ROOT, merge, read_yaml, set_path

DEFAULT_CONFIG = ROOT / "config" / "bisenetv2_cityscapes.yml"
_VALUES = "_values"  # attribute of a configuration: the merged values that it was built from


def load_config(
    path: str | os.PathLike[str] | schema.Config | None = None, overrides: Mapping[str, Any] | None = None
) -> schema.Config:
    """Return the configuration in a YAML file, changed by `overrides`; no command line is read, nothing is written.

    Args:
        path: the file, relative to the working directory or else to the repository; None for
            ``config/bisenetv2_cityscapes.yml``; or a configuration, which stays as it is.
        overrides: values by the dotted paths of their keys, such as ``{"batch_size": 4, "data.dataset_dir": "/data"}``.
            A value is what YAML could hold, a path, or a number or an array of NumPy's. A mapping changes the keys that
            it names and leaves the others, as it does in a file with ``__BASE__``.

    Raises:
        ConfigError: any problem of the files, or all problems of the resulting values at once.
    """
    if not isinstance(path, (str, os.PathLike, schema.Config, type(None))):
        raise ConfigError(f"path: expected the name of a YAML file, got {type(path).__name__}; changes are overrides")
    if not isinstance(overrides, (Mapping, type(None))):
        raise ConfigError(f"overrides: expected a mapping such as {{'batch_size': 4}}, got {overrides!r}")
    if isinstance(path, schema.Config):
        # Not what `build_config` has derived: without single_scale the scales are those of the file again.
        source, values = "as given", copy.deepcopy(getattr(path, _VALUES, None)) or _plain(to_dict(path))
    else:
        file = DEFAULT_CONFIG if path is None else find_config(path_argument(path, "path"))
        source, values = str(file), read_yaml(file)
    for name, value in (overrides or {}).items():
        values = _changed(values, name, _plain(value))
    return build_from(values, source)


def require_config(config: object) -> None:
    """Raise a ConfigError unless `config` is a configuration."""
    if not isinstance(config, schema.Config):
        raise ConfigError(f"config: expected what load_config returns, got {type(config).__name__}")


def find_config(path: Path) -> Path:
    """Return `path`, or the file of that name in the repository where there is none in the working directory."""
    return ROOT / path if not path.exists() and (ROOT / path).is_file() else path


def build_from(
    values: dict, path: Path | str, check: Callable[[schema.Config], list[str]] = lambda config: []
) -> schema.Config:
    """Make the configuration from the values of the file `path`, changed or not.

    Args:
        values: merged values.
        path: the file, for messages.
        check: returns further problems of a configuration.

    Raises:
        ConfigError: all problems of the values at once, a line each.
    """
    try:
        given = copy.deepcopy(values)
        config = build_config(values)
        refuse(check(config))
        object.__setattr__(config, _VALUES, given)
        return config
    except ConfigError as err:
        lines = str(err).splitlines()
        head = f"configuration {path}: " + ("" if len(lines) == 1 else f"{len(lines)} problems\n  ")
        raise ConfigError(head + "\n  ".join(shown(lines))) from err


def head_problems(config: schema.Config) -> list[str]:
    """Return what is wrong if not every head of the network has a weight; its heads are looked up where it matters."""
    usual: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(schema.Config)}
    if config.net == usual["net"] and len(config.loss_weight) == len(usual["loss_weight"]):
        return []  # MindSpore, which the network needs, stays out of it
    heads, weights = NETWORKS[config.net].head_names, list(config.loss_weight)
    return problem_unless(
        len(weights) == len(heads), "loss_weight", f"expected {len(heads)} values, {', '.join(heads)}; got {weights}"
    )


def _changed(values: dict, path: str, value: Any) -> dict:
    if not isinstance(path, str):
        raise ConfigError(f"overrides: a key is text such as 'data.dataset_dir', got {path!r}")
    if not isinstance(value, dict) and value is not False:  # which leaves a transform out of its list
        set_path(values, path, value)
        return values
    change: dict = {}
    set_path(change, path, value)
    return merge(values, change)


def _plain(value: Any) -> Any:
    """Return a value as YAML could hold it."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value  # a number or an array of NumPy's
