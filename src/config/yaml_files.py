"""YAML files with ``__BASE__``, and values in nested mappings addressed by a dotted path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from src.base.errors import ConfigError
from src.base.file_kinds import no_text
from src.base.paths import user_path
from src.config.builder import nearest
from src.config.label_maps import LABEL_FILE_KEYS
from src.config.yaml_loader import MOST_VALUES, Text, read_file, size_message

BASE_KEY = "__BASE__"
MOST_FILES = 100  # of one configuration
ROOT = Path(__file__).resolve().parents[2]


def read_yaml(path: Path) -> dict:
    """Read a YAML file and the bases it names; `path` may be a pipe, whose bases are relative to the working directory.

    A base that several files share is read once, below all of them, so that it does not override any of them.

    Raises:
        ConfigError: the file is missing, not a mapping, not YAML or too large, names a base twice or includes itself;
            there are more than 100 files or more than 10,000 keys and values in all; a base is a pipe or device.
    """
    return _read(path, (), _FilesRead())


class _FilesRead:
    """The files of one configuration read so far, and how many keys and values they hold in all."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.values = 0


def _read(path: Path, including: tuple[Path, ...], done: _FilesRead) -> dict:
    """Read a YAML file, included through the files `including`, with its bases; record it in `done`."""
    before = set(done.files)
    done.files.append(_real_path(path))
    if _real_path(path) in map(_real_path, including):
        raise ConfigError(f"{path}: {BASE_KEY} includes itself")
    if len(done.files) > MOST_FILES:
        raise ConfigError(f"{path}: {BASE_KEY} leads to more than {MOST_FILES} files")
    values = _load(path, is_base=bool(including))
    done.values += _count(values)
    if done.values > MOST_VALUES:
        raise ConfigError(size_message(f"{path}: the configuration"))
    bases = values.pop(BASE_KEY, None) or []
    if not isinstance(bases, (str, list)) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(f"{path}: {BASE_KEY} must be a file name or a list of file names, got {bases!r}")
    folder = path.parent if path.is_file() else Path()
    _anchor_label_files(values.get("data"), folder, path)
    merged: dict = {}
    above = (*including, path)
    for place in _base_paths([bases] if isinstance(bases, str) else bases, folder, path):
        if _real_path(place) not in before.difference(map(_real_path, above)):
            merged = _merge_file(merged, _read(place, above, done), place)
    return _merge_file(merged, values, path)


def _base_paths(bases: list[str], folder: Path, path: Path) -> list[Path]:
    """Return the paths of the bases of the file `path`: relative to it, or else to the root of the repository."""
    found: list[Path] = []
    for base in bases:
        name = _path_in(base, path, BASE_KEY)
        place, own = folder / name, ROOT / name
        is_own = not os.path.exists(place) and os.path.isfile(own)  # noqa: PTH110, PTH113 - never raise
        found.append(own if is_own else place)
        if found[-1] in found[:-1]:
            raise ConfigError(f"{path}: {BASE_KEY} names {base} twice")
    return found


def _load(path: Path, *, is_base: bool) -> dict:
    """Return the mapping in a file, which may be a pipe unless it is a base."""
    try:
        values = read_file(path, may_be_pipe=not is_base) or {}
    except (OSError, ValueError) as err:
        raise ConfigError(f"cannot read configuration {path}: {no_text(path, err)}") from err
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, got {type(values).__name__}")
    return values


def _count(value: Any) -> int:
    """Return the number of keys and values in a value, itself included."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(_count, value.values()))
    return 1 + sum(map(_count, value)) if isinstance(value, list) else 1


def _real_path(path: Path) -> str:
    """Return the resolved path of a file; a dangling link is returned as it is."""
    try:
        return os.path.realpath(path)
    except ValueError:  # not a valid file name, which reading it will report
        return str(path)


def _merge_file(low: dict, high: dict, path: Path) -> dict:
    try:
        return merge(low, high)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err


def _path_in(text: str, path: Path, key: str) -> Path:
    """Return the path that the value `text` of a key in the file `path` names."""
    try:
        return user_path(text)
    except ConfigError as err:
        raise ConfigError(f"{path}: {key}: {err}") from err


def _anchor_label_files(data: Any, folder: Path, path: Path) -> None:
    """Make the file names of label maps in the section `data` relative to the folder of the configuration file."""
    for name in LABEL_FILE_KEYS if isinstance(data, dict) else ():
        if isinstance(data.get(name), str) and not isinstance(data[name], Text):
            data[name] = str(folder / _path_in(data[name], path, f"data.{name}"))


def merge(low: dict, high: dict) -> dict:
    """Return `low` updated by `high`: mappings merge, everything else is replaced.

    A mapping over a list of named entries, such as transforms, changes those entries; False removes one.

    Raises:
        ConfigError: the mapping names an entry that the list does not have.
    """
    result = dict(low)
    for name, value in high.items():
        before = result.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            result[name] = merge(before, value)
        elif isinstance(value, dict) and isinstance(before, list) and before and all(map(_name_of, before)):
            result[name] = _change(before, value, name)
        else:
            result[name] = value
    return result


def _change(entries: list, changes: dict, where: str) -> list:
    """Return a list of named entries with changed arguments for some of them."""
    names = [name for name in map(_name_of, entries) if name]
    unknown = next((name for name in changes if name not in names), None)
    if unknown is not None:
        raise ConfigError(f"{where}: the list has no entry {unknown!r} to change{nearest(str(unknown), names)}")
    changed = []
    for name, entry in zip(names, entries):
        if name not in changes:
            changed.append(entry)
        elif changes[name] is not False:
            own = entry[name] if isinstance(entry, dict) else None
            arguments = {} if changes[name] is None else changes[name]
            changed.append(merge({name: own or {}}, {name: arguments}))
    return changed


def _name_of(entry: Any) -> str | None:
    """Return the name of an entry such as ``RandomFlip: {prob: 0.5}`` or ``RandomFlip``; None for a plain value."""
    if isinstance(entry, dict):
        return next(iter(entry)) if len(entry) == 1 and isinstance(next(iter(entry)), str) else None
    return entry if isinstance(entry, str) else None


def set_path(values: dict, path: str, value: Any) -> None:
    """Set ``a.b.c`` in nested mappings; an entry of a list of named entries (transforms) is addressed by its name.

    Raises:
        ConfigError: the path leads through a plain value or names an entry that a list does not have.
    """
    *parents, last = path.split(".")
    node: Any = values
    for name in parents:
        node = _step_into(node, name, path)
    if not isinstance(node, dict):
        raise ConfigError(f"{path}: leads through a value that has no keys")
    node[last] = value


def _step_into(node: Any, name: str, path: str) -> Any:
    if isinstance(node, list):
        for entry in node:
            if isinstance(entry, dict) and name in entry:
                node = entry
                break
        else:
            known = [key for entry in node if isinstance(entry, dict) for key in entry]
            raise ConfigError(f"{path}: the list has no entry {name!r}{nearest(name, known)}")
    if not isinstance(node, dict):
        raise ConfigError(f"{path}: leads through a value that has no keys")
    if node.get(name) is None:
        node[name] = {}
    return node[name]


def dump(values: dict) -> str:
    """Return plain values as YAML text."""
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
