"""Configurations as flat mappings, for comparison: plain values as in a saved ``config.yml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.base.special_files import require_regular
from src.config.saved import RUN_KEYS, to_dict
from src.config.yaml_files import read_yaml
from src.report.checking import COUNT, TEXT, TEXTS, check_fields
from src.utils.config import parse_config

_CHECKED = {"data.name": TEXT, "data.class_names": TEXTS, "total_step": COUNT}  # keys that the report evaluates


def read_settings(save_dir: Path) -> dict[str, Any] | None:
    """Return the latest configuration of a run, by dotted path; None if there is none.

    Raises:
        UserError: it cannot be read, or a key that the report evaluates has a wrong value.
    """
    found = sorted(save_dir.glob("config-*.yml")) or sorted(save_dir.glob("config.yml"))
    if not found:
        return None
    require_regular(found[-1])
    settings = flat(read_yaml(found[-1]))
    check_fields(settings, _CHECKED, found[-1])
    return settings


def default_settings() -> dict[str, Any]:
    """Return the default configuration by dotted path, with the keys that a saved configuration has."""
    values = to_dict(parse_config([], "train"))
    return flat({name: value for name, value in values.items() if name not in RUN_KEYS})


def flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings by dotted path; lists of single-key mappings, such as transforms, use the key as name."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, list) and value and all(isinstance(entry, dict) and len(entry) == 1 for entry in value):
            found[path] = [str(next(iter(entry))) for entry in value]
            value = {key: arguments for entry in value for key, arguments in entry.items()}
        if isinstance(value, dict) and value:
            found |= flat(value, f"{path}.")
        elif path not in found:
            found[path] = value
    return found
