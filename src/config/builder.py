"""Turn merged YAML values and command-line texts into the typed sections of `src/config/schema.py`."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Collection, Sequence
from typing import Any, Union

import yaml

from src.base.errors import ConfigError
from src.base.paths import expand_path
from src.config import schema
from src.config.label_maps import read_entries
from src.config.registry import TRANSFORMS
from src.config.schema_base import field_problems, refuse
from src.config.yaml_loader import Text, read_text

MOST_SHOWN = 20  # reported problems of one configuration; the rest are counted
LONGEST_LINE = 1000  # characters of a reported problem


def nearest(name: str, known: Sequence[str], cutoff: float = 0.5) -> str:
    """Return a hint to append to a message about an unknown name: the nearest known name, or all known names."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"


def build_section(section: type, values: Any, where: str, problems: list[str]) -> Any:
    """Make the dataclass `section` from a mapping; on errors append them to `problems` and return None.

    Args:
        section: a dataclass of the schema.
        values: mapping read from YAML and the command line.
        where: dotted path of the section, empty for the root.
        problems: receives one line per problem, each with the key's full path.
    """
    if values is None:
        values = {}
    if not isinstance(values, dict):
        problems.append(f"{where}: expected keys and values, got {values!r}")
        return None
    prefix = f"{where}." if where else ""
    fields = {f.name: f for f in dataclasses.fields(section)}
    hints = typing.get_type_hints(section)
    unknown = [str(name) for name in values if name not in fields]
    problems += [f"{prefix}{name}: unknown key{nearest(name, list(fields))}" for name in unknown[:MOST_SHOWN]]
    problems += [f"{prefix}{name}: unknown key" for name in unknown[MOST_SHOWN:]]
    before = len(problems)
    required = [n for n, f in fields.items() if f.default is dataclasses.MISSING]
    problems += [f"{prefix}{name}: required" for name in required if name not in values]
    arguments = {
        name: _convert(value, hints[name], prefix + name, problems, fields[name].metadata.get("choices", ()))
        for name, value in values.items()
        if name in fields
    }
    _expand_paths(fields, arguments, prefix, problems)
    if len(problems) > before:
        problems += [prefix + line for line in field_problems(section, arguments)]
        return None
    try:
        return section(**arguments)
    except ConfigError as err:
        problems += [prefix + line for line in str(err).splitlines()]
        return None


def _expand_paths(fields: dict[str, dataclasses.Field], arguments: dict, prefix: str, problems: list[str]) -> None:
    for name, value in arguments.items():
        if value is None or not fields[name].metadata.get("is_path"):
            continue
        try:
            arguments[name] = expand_path(value)
        except ConfigError as err:
            problems.append(f"{prefix}{name}: {err}")


def _convert(value: Any, hint: Any, where: str, problems: list[str], choices: Collection[Any] = ()) -> Any:
    """Convert `value` to the annotated type; append to `problems` if it does not fit.

    "none" on the command line means null, unless it is among the key's `choices`.
    """
    optional = typing.get_origin(hint) is Union and type(None) in typing.get_args(hint)
    if optional:
        hint = next(t for t in typing.get_args(hint) if t is not type(None))
        if value is None or (
            isinstance(value, Text) and value not in choices and value.lower() in ("null", "none", "~")
        ):
            return None
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build_section(hint, value, where, problems)
    if typing.get_origin(hint) is tuple:
        if isinstance(value, Text) and choices and not value.startswith("["):
            value = [name.strip() for name in value.split(",")]  # a list of names needs no brackets
        return _convert_sequence(value, typing.get_args(hint), where, problems)
    if typing.get_origin(hint) is dict:
        return _convert_label_map(value, where, problems)
    try:
        return _SCALARS[hint](value)
    except (TypeError, ValueError):
        problems.append(f"{where}: expected {_EXPECTED[hint]}, got {value!r}")
        return None


def _convert_sequence(value: Any, hints: tuple, where: str, problems: list[str]) -> tuple | None:
    if isinstance(value, Text):
        try:
            value = read_text(value)
        except (yaml.YAMLError, ValueError):  # not a list
            pass
        except ConfigError as err:
            problems.append(f"{where}: {err}")
            return None
    if not isinstance(value, (list, tuple)):
        problems.append(f"{where}: expected a list, got {value!r}")
        return None
    if hints[0] is schema.Transform:
        return tuple(_convert_transform(entry, where, problems) for entry in value)
    if hints[-1] is not Ellipsis and len(value) != len(hints):
        problems.append(f"{where}: expected {len(hints)} values, got {value!r}")
        return None
    before = len(problems)
    items = tuple(_convert(item, hints[0], f"{where}[{i}]", problems) for i, item in enumerate(value))
    return items if len(problems) == before else None


def _convert_label_map(value: Any, where: str, problems: list[str]) -> dict[str, str] | None:
    try:
        return read_entries(value)
    except ConfigError as err:
        problems.append(f"{where}: {err}")
        return None


def _convert_transform(entry: Any, where: str, problems: list[str]) -> Any:
    """Make the transform of an entry such as ``RandomFlip: {prob: 0.5}``."""
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, dict) or len(entry) != 1:
        problems.append(f"{where}: an entry needs exactly one name, got {entry!r}")
        return None
    name, arguments = next(iter(entry.items()))
    if name not in TRANSFORMS:
        problems.append(f"{where}.{name}: unknown transform{nearest(str(name), list(TRANSFORMS))}")
        return None
    return build_section(TRANSFORMS[name], arguments, f"{where}.{name}", problems)


def to_bool(value: Any) -> bool:
    """Read True/true/1 or False/false/0; anything else is a ValueError."""
    text = str(value).lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError(value)


def _to_int(value: Any) -> int:
    number = _to_float(value)
    if not number.is_integer():
        raise ValueError(value)
    return int(number)


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    number = float(value)  # YAML reads 5e-4, without a dot, as text
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(value)
    return number


def _to_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return str(value)


_SCALARS = {bool: to_bool, int: _to_int, float: _to_float, str: _to_str}
_EXPECTED = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def build_config(values: dict) -> schema.Config:
    """Make the configuration from merged values; all problems are reported at once.

    Raises:
        ConfigError: one line per problem, each naming the key by its full path.
    """
    problems: list[str] = []
    config = build_section(schema.Config, values, "", problems)
    refuse(problems)
    if config.single_scale:
        config = replace_evaluation(config, multi_scale=False, flip=False)
    return with_image_size(config, config.image_size) if config.image_size else config


def shown(problems: list[str]) -> list[str]:
    """Return the first twenty problems, each cut to `LONGEST_LINE`, and a line with the number of the others."""
    lines = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..." for line in problems[:MOST_SHOWN]]
    return lines if len(problems) <= MOST_SHOWN else [*lines, f"and {len(problems) - MOST_SHOWN} more"]


def replace_evaluation(config: schema.Config, **values: Any) -> schema.Config:
    """Return the configuration with other values of ``data.eval_transforms``."""
    evaluation = dataclasses.replace(config.data.eval_transforms, **values)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, eval_transforms=evaluation))


def with_image_size(config: schema.Config, size: tuple[int, int]) -> schema.Config:
    """Return the configuration with another ``Resize.target_size`` in the evaluation."""
    transforms = config.data.eval_transforms.item_transforms
    resize: Any = transforms[0]
    transforms = (dataclasses.replace(resize, target_size=tuple(size)), *transforms[1:])
    return replace_evaluation(config, item_transforms=transforms)
