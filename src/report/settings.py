"""Configurations key by key, to be compared: plain values as a saved ``config.yml`` holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.base.special_files import require_regular
from src.config.saved import RUN_KEYS, to_dict
from src.config.yaml_files import read_yaml
from src.report.checking import COUNT, TEXT, TEXTS, check_fields
from src.utils.config import parse_config

_USED = {"data.name": TEXT, "data.class_names": TEXTS, "total_step": COUNT}  # for more than to be shown


def read_settings(save_dir: Path) -> dict[str, Any] | None:
    """Return the latest configuration of a run, by dotted path; None where there is none.

    Raises:
        UserError: it cannot be read, or what the report goes by is something else in it.
    """
    found = sorted(save_dir.glob("config-*.yml")) or sorted(save_dir.glob("config.yml"))
    if not found:
        return None
    require_regular(found[-1])
    settings = flat(read_yaml(found[-1]))
    check_fields(settings, _USED, found[-1])
    return settings


def default_settings() -> dict[str, Any]:
    """Return the configuration of a run without options, by dotted path, as far as a saved one tells it."""
    values = to_dict(parse_config([], "train"))
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
