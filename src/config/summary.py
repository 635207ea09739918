"""Logging a configuration: all of it to the file, the differences from the default to the console."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from src.base.errors import first_names
from src.base.log_handlers import FILE_ONLY
from src.config import schema
from src.config.builder import build_config
from src.config.saved import to_yaml
from src.config.yaml_files import dump, read_yaml

logger = logging.getLogger(__name__)

LONGEST = 8  # entries of a list that is logged in full


def log_configuration(config: schema.Config, default: Path) -> None:
    """Log a configuration to the file, and its differences from the file `default` to the console as well."""
    changes = changed_keys(config, build_config(read_yaml(default)))
    but = "".join(f"\n  {line}" for line in changes)
    logger.info("configuration as in %s%s", default.name, f", but for{but}" if changes else "")
    logger.info("configuration:\n%s", to_yaml(config).rstrip(), extra=FILE_ONLY)


def changed_keys(config: Any, default: Any, prefix: str = "") -> list[str]:
    """Return "path: value" of every key whose value differs from that in `default`.

    Transforms are compared argument by argument; if their names or their order differ, the names are a line, too.

    Args:
        config: a section of the configuration, or all of it.
        default: the same section of the default.
        prefix: path of the section with a trailing dot, empty for the root.
    """
    lines = []
    for field in dataclasses.fields(config):
        value, usual, path = getattr(config, field.name), getattr(default, field.name), f"{prefix}{field.name}"
        if value == usual:
            continue
        if dataclasses.is_dataclass(value) and type(value) is type(usual):
            lines += changed_keys(value, usual, f"{path}.")
        elif _are_transforms(value) and _are_transforms(usual):
            lines += _changed_transforms(value, usual, path)
        else:
            lines.append(f"{path}: {_format_value(value)}")
    return lines


def _are_transforms(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(entry, schema.Transform) for entry in value)


def _changed_transforms(entries: tuple, usual: tuple, path: str) -> list[str]:
    names, before = ([type(entry).__name__ for entry in each] for each in (entries, usual))
    lines = [f"{path}: {', '.join(names)}"] if names != before else []
    known = dict(zip(before, usual))
    for name, entry in zip(names, entries):
        lines += changed_keys(entry, known.get(name, entry), f"{path}.{name}.")
    return lines


def _format_value(value: Any) -> str:
    if isinstance(value, (tuple, dict)) and len(value) > LONGEST:
        return f"{len(value)} values ({first_names(list(map(str, value)))})"
    if isinstance(value, tuple):
        value = list(value)
    return dump({"": value}).partition(": ")[2].strip() if isinstance(value, (list, dict)) else str(value)
