"""Configurations key by key, to be compared: plain values as a saved ``config.yml`` holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.config.saved import RUN_KEYS, to_dict
from src.config.yaml_files import read_yaml
from src.utils.config import load_config


def read_settings(save_dir: Path) -> dict[str, Any] | None:
    """Return the latest configuration of a run, by dotted path; None where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    found = sorted(save_dir.glob("config-*.yml")) or sorted(save_dir.glob("config.yml"))
    return flat(read_yaml(found[-1])) if found else None


def default_settings() -> dict[str, Any]:
    """Return the configuration of a run without options, by dotted path, as far as a saved one tells it."""
    values = to_dict(load_config([], "train"))
    return flat({name: value for name, value in values.items() if name not in RUN_KEYS})


def flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings by dotted path; entries of a list that have one name each, as transforms, by that name."""
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
