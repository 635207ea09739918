"""Read YAML with ``__BASE__``, apply the command line, build the typed configuration of `src/utils/schema.py`.

Precedence: ``a.b=value`` overrides, then command-line options, then the YAML file, then its bases (later ones win),
then the defaults of the schema. This is the only module that parses command lines.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Union

import yaml

from src.utils import schema
from src.utils.errors import ConfigError

DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "config" / "bisenetv2_cityscapes.yml"
BASE_KEY = "__BASE__"
# Options for frequent nested keys.
SHORT_OPTIONS = {
    "dataset_dir": ("data.dataset_dir", schema.ALL),
    "lr_init": ("optimizer.lr_init", (schema.TRAIN,)),
    "multi_scale": ("data.eval_transforms.multi_scale", (schema.EVAL,)),
    "flip": ("data.eval_transforms.flip", (schema.EVAL,)),
}


class _Text(str):
    """A value typed on the command line: text that only the key's type can interpret."""

    __slots__ = ()


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML loader that refuses a key given twice in one mapping, where PyYAML would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            name = self.construct_object(key_node, deep=True)
            if name in seen:
                raise ConfigError(f"{node.start_mark.name}:{key_node.start_mark.line + 1}: key {name!r} given twice")
            seen.add(name)
        return super().construct_mapping(node, deep)


class _Parser(argparse.ArgumentParser):
    """Argument parser whose complaints are one line, like every other error of the user's."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see python {self.prog} --help")


def read_yaml(path: Path, including: tuple[Path, ...] = ()) -> dict:
    """Read a YAML file and the bases it names; `path` may be a pipe, whose bases are relative to the working directory.

    Raises:
        ConfigError: the file is missing, no mapping, not YAML, or includes itself.
    """
    if path in including:
        raise ConfigError(f"{path}: {BASE_KEY} includes itself")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"cannot read configuration {path}: {getattr(err, 'strerror', None) or err}") from err
    try:
        loader = _UniqueKeyLoader(text)
        loader.name = path.name
        values = loader.get_single_data() or {}
    except yaml.YAMLError as err:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(err).split())}") from err
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, got {type(values).__name__}")
    bases = values.pop(BASE_KEY, [])
    folder = path.parent if path.is_file() else Path()
    merged: dict = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merged = merge(merged, read_yaml(folder / base, (*including, path)))
    return merge(merged, values)


def merge(low: dict, high: dict) -> dict:
    """Return `low` updated by `high`: mappings merge, everything else is replaced."""
    result = dict(low)
    for name, value in high.items():
        both_mappings = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merge(result[name], value) if both_mappings else value
    return result


def set_path(values: dict, path: str, value: Any) -> None:
    """Set ``a.b.c`` in nested mappings; an entry of a list of named entries (transforms) is addressed by its name.

    Raises:
        ConfigError: the path leads through a plain value or names no entry of a list.
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
            raise ConfigError(f"{path}: the list has no entry {name!r}{_nearest(name, known)}")
    if not isinstance(node, dict):
        raise ConfigError(f"{path}: leads through a value that has no keys")
    if node.get(name) is None:
        node[name] = {}
    return node[name]


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"


def build_section(section: type, values: Any, where: str, problems: list[str]) -> Any:
    """Make the dataclass `section` from a mapping; append what is wrong to `problems` and then return None.

    Args:
        section: a dataclass of the schema.
        values: mapping read from YAML and the command line.
        where: dotted path of the section, empty for the root.
        problems: receives one line a problem, each with its full path.
    """
    if values is None:
        values = {}
    if not isinstance(values, dict):
        problems.append(f"{where}: expected keys and values, got {values!r}")
        return None
    prefix = f"{where}." if where else ""
    fields = {f.name: f for f in dataclasses.fields(section)}
    hints = typing.get_type_hints(section)
    problems += [
        f"{prefix}{name}: unknown key{_nearest(str(name), list(fields))}" for name in values if name not in fields
    ]
    before = len(problems)
    required = [n for n, f in fields.items() if f.default is dataclasses.MISSING]
    problems += [f"{prefix}{name}: required" for name in required if name not in values]
    arguments = {
        name: _convert(value, hints[name], prefix + name, problems) for name, value in values.items() if name in fields
    }
    if len(problems) > before:
        problems += [prefix + line for line in schema.field_problems(section, arguments)]
        return None
    try:
        return section(**arguments)
    except ConfigError as err:
        problems += [prefix + line for line in str(err).splitlines()]
        return None


def _convert(value: Any, hint: Any, where: str, problems: list[str]) -> Any:
    """Bring `value` to the annotated type; append to `problems` if it does not fit."""
    optional = typing.get_origin(hint) is Union and type(None) in typing.get_args(hint)
    if optional:
        hint = next(t for t in typing.get_args(hint) if t is not type(None))
        if value is None or (isinstance(value, _Text) and value.lower() in ("null", "none", "~")):
            return None
    if dataclasses.is_dataclass(hint):
        return build_section(hint, value, where, problems)
    if typing.get_origin(hint) is tuple:
        return _convert_sequence(value, typing.get_args(hint), where, problems)
    try:
        return _SCALARS[hint](value)
    except (TypeError, ValueError):
        problems.append(f"{where}: expected {_EXPECTED[hint]}, got {value!r}")
        return None


def _convert_sequence(value: Any, hints: tuple, where: str, problems: list[str]) -> tuple | None:
    if isinstance(value, _Text):
        with contextlib.suppress(yaml.YAMLError):  # then it is no list either
            value = yaml.safe_load(value)
    if not isinstance(value, (list, tuple)):
        problems.append(f"{where}: expected a list, got {value!r}")
        return None
    if hints[0] == schema.TransformArgs:
        return tuple(_convert_transform(entry, where, problems) for entry in value)
    if hints[-1] is not Ellipsis and len(value) != len(hints):
        problems.append(f"{where}: expected {len(hints)} values, got {value!r}")
        return None
    return tuple(_convert(item, hints[0], f"{where}[{i}]", problems) for i, item in enumerate(value))


def _convert_transform(entry: Any, where: str, problems: list[str]) -> Any:
    """Make the argument dataclass of an entry such as ``RandomFlip: {prob: 0.5}``."""
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, dict) or len(entry) != 1:
        problems.append(f"{where}: an entry needs exactly one name, got {entry!r}")
        return None
    name, arguments = next(iter(entry.items()))
    if name not in schema.TRANSFORM_ARGS:
        problems.append(f"{where}.{name}: unknown transform{_nearest(str(name), list(schema.TRANSFORM_ARGS))}")
        return None
    return build_section(schema.TRANSFORM_ARGS[name], arguments, f"{where}.{name}", problems)


def _to_bool(value: Any) -> bool:
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


_SCALARS = {bool: _to_bool, int: _to_int, float: _to_float, str: _to_str}
_EXPECTED = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def build_config(values: dict) -> schema.Config:
    """Make the configuration from merged values; all problems are reported at once.

    Raises:
        ConfigError: one line a problem, each naming the key by its full path.
    """
    problems: list[str] = []
    config = build_section(schema.Config, values, "", problems)
    schema.refuse(problems)
    if config.single_scale:
        evaluation = dataclasses.replace(config.data.eval_transforms, multi_scale=False, flip=False)
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, eval_transforms=evaluation))
    return config


def to_dict(section: Any) -> Any:
    """Return the configuration as plain mappings and lists that YAML can hold and `build_config` can read."""
    if isinstance(section, tuple):
        return [
            {type(v).__name__: to_dict(v)} if isinstance(v, tuple(schema.TRANSFORM_ARGS.values())) else v
            for v in section
        ]
    if dataclasses.is_dataclass(section):
        return {f.name: to_dict(getattr(section, f.name)) for f in dataclasses.fields(section)}
    return section


def dump(values: dict) -> str:
    """Return plain values as YAML text."""
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def to_yaml(config: schema.Config) -> str:
    """Return the configuration as YAML text that `read_yaml` and `build_config` turn into the same configuration."""
    return dump(to_dict(config))


def _describe(field: dataclasses.Field) -> str:
    text = field.metadata["help"]
    if field.metadata["choices"]:
        text += f" [{', '.join(map(str, field.metadata['choices']))}]"
    if field.default is not None and field.default is not dataclasses.MISSING:
        text += f" (default {field.default})"
    return text


def nested_keys(section: type, prefix: str = "") -> list[tuple[str, dataclasses.Field]]:
    """List (dotted path, field) of every key below `section` that is no section itself."""
    keys: list[tuple[str, dataclasses.Field]] = []
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        path = prefix + field.name
        if dataclasses.is_dataclass(hints[field.name]):
            keys += nested_keys(hints[field.name], path + ".")
        else:
            keys.append((path, field))
    return keys


def _epilog() -> str:
    lines = ["keys set by name=value at the end of the command line, e.g. optimizer.lr_init=0.02:"]
    lines += [f"  {path}: {_describe(field)}" for path, field in nested_keys(schema.Config) if "." in path]
    lines.append("arguments of transforms, e.g. data.train_transforms.item_transforms.RandomFlip.prob=0.5:")
    for name, section in schema.TRANSFORM_ARGS.items():
        lines += [f"  {path}: {_describe(field)}" for path, field in nested_keys(section, name + ".")]
    return "\n".join(line.replace("%", "%%") for line in lines)


def make_parser(script: str) -> argparse.ArgumentParser:
    """Make the parser of an entry script ('train' or 'eval'): one option for each top-level key it uses."""
    parser = _Parser(
        prog=f"{script}.py",
        allow_abbrev=False,
        usage=f"python {script}.py [--option value ...] [section.key=value ...]",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="YAML file (default %(default)s)")
    fields = {field.name: field for path, field in nested_keys(schema.Config) if "." not in path}
    for name, field in fields.items():
        if script in field.metadata["scripts"]:
            parser.add_argument(f"--{name}", type=_Text, default=None, help=_describe(field).replace("%", "%%"))
    for name, (path, scripts) in SHORT_OPTIONS.items():
        if script in scripts:
            parser.add_argument(f"--{name}", type=_Text, default=None, help=f"short for {path}=...")
    return parser


def load_config(argv: Sequence[str] | None, script: str) -> schema.Config:
    """Parse the command line of `script` and return the configuration.

    Raises:
        ConfigError: any problem of the command line or the files, all problems of the resulting values at once.
    """
    parser = make_parser(script)
    options, rest = parser.parse_known_args(argv)
    known = [flag for action in parser._actions for flag in action.option_strings]
    given = {name: value for name, value in vars(options).items() if value is not None and name != "config"}
    values = read_yaml(options.config)
    for name, value in given.items():
        set_path(values, SHORT_OPTIONS[name][0] if name in SHORT_OPTIONS else name, value)
    for word in rest:
        path, equals, value = word.partition("=")
        if word.startswith("-"):
            raise ConfigError(f"unknown option {path}{_nearest(path, known)}")
        if not equals:
            raise ConfigError(f"unexpected argument {word!r}: options are --name value, overrides section.key=value")
        set_path(values, path, _Text(value))
    try:
        return build_config(values)
    except ConfigError as err:
        count = len(str(err).splitlines())
        head = f"configuration {options.config}: " + ("" if count == 1 else f"{count} problems\n  ")
        raise ConfigError(head + str(err).replace("\n", "\n  ")) from err
