"""The configuration as plain values, for saving, comparing and listing."""

from __future__ import annotations

import dataclasses
import time
import typing
from pathlib import Path
from typing import Any

from src.base.files import write_whole
from src.base.side_files import side_file
from src.config import schema
from src.config.yaml_files import dump

# Top-level keys of one invocation, which a saved configuration does not pass on to other runs.
RUN_KEYS = tuple(field.name for field in dataclasses.fields(schema.Config) if field.metadata["run_only"])


def to_dict(section: Any) -> Any:
    """Return the configuration as plain mappings and lists that YAML can hold and `build_config` can read."""
    if isinstance(section, tuple):
        return [{type(v).__name__: to_dict(v)} if isinstance(v, schema.Transform) else v for v in section]
    if dataclasses.is_dataclass(section):
        return {f.name: to_dict(getattr(section, f.name)) for f in dataclasses.fields(section)}
    return section


def differences(old: dict, new: dict, section: type = schema.Config, prefix: str = "") -> list[str]:
    """Return a line for each key of `section` that affects the losses and whose values differ.

    Args:
        old: plain mapping; keys that it lacks are not compared.
        new: plain mapping of all keys.
        section: a dataclass of the schema.
        prefix: path of the section with a trailing dot, empty for the root.
    """
    lines, hints = [], typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        if field.name not in old or field.metadata["run_only"] or field.metadata["may_change"]:
            continue
        before, value = old[field.name], new[field.name]
        if dataclasses.is_dataclass(hints[field.name]) and isinstance(before, dict):
            lines += differences(before, value, hints[field.name], f"{prefix}{field.name}.")
        elif before != _without_new_arguments(before, value):
            lines.append(f"{prefix}{field.name} was {before}, is {value} now")
    return lines


def _without_new_arguments(old: Any, new: Any) -> Any:
    """Return `new` without those arguments of transforms that `old`, a list of transforms, lacks."""
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new):
        return new
    return [_known_arguments(before, entry) for before, entry in zip(old, new)]


def _known_arguments(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict) or list(old) != list(new):
        return new
    (name,) = new
    arguments = old[name]
    if not isinstance(arguments, dict):
        return new
    return {name: {argument: value for argument, value in new[name].items() if argument in arguments}}


def to_yaml(config: schema.Config) -> str:
    """Return the configuration as YAML text that `read_yaml` and `build_config` turn into the same configuration."""
    return dump(to_dict(config))


def nested_keys(section: type, prefix: str = "") -> list[tuple[str, dataclasses.Field]]:
    """List (dotted path, field) of every key below `section` that is not a section itself."""
    keys: list[tuple[str, dataclasses.Field]] = []
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        path = prefix + field.name
        if dataclasses.is_dataclass(hints[field.name]):
            keys += nested_keys(hints[field.name], path + ".")
        else:
            keys.append((path, field))
    return keys


def write_config(config: schema.Config, save_dir: Path) -> None:
    """Write the resolved configuration to ``config.yml``, or to a file with a dated name if that exists.

    Keys of this invocation alone are written as comments, so that the file serves as ``--config`` of another run. A
    failed write is only a warning.
    """
    path = save_dir / "config.yml"
    if path.exists():
        path = save_dir / f"config-{time.strftime('%Y%m%d-%H%M%S')}.yml"
    values = to_dict(config)
    lines = [f"# {name}: {values.pop(name)}\n" for name in RUN_KEYS]
    with side_file(path):
        write_whole(path, ("".join(lines) + dump(values)).encode())
