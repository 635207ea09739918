"""Read YAML with ``__BASE__``, apply the command line, build the typed configuration of `src/utils/schema.py`.

Precedence: ``a.b=value`` overrides, then command-line options, then the YAML file, then its bases (later ones win),
then the defaults of the schema. This is the only module that parses command lines.
"""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from src.utils import schema
from src.utils.config_builder import Text, build_config, nearest, to_bool
from src.utils.errors import ConfigError
from src.utils.schema_base import EVAL, PREPROCESS, TRAIN

DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "config" / "bisenetv2_cityscapes.yml"
BASE_KEY = "__BASE__"
# Top-level keys that belong to one invocation, not to the recipe: a saved configuration does not pass them on.
RUN_KEYS = (
    "device_target", "device_id", "save_dir", "resume_ckpt", "finetune_ckpt", "checkpoint_path", "single_scale",
    "save_images", "save_predictions", "checkpoint_file", "file_name", "file_format", "fold_bn", "output", "input",
    "image_size", "mindir_path", "output_path", "result_path",
)  # fmt: skip

# Keys that a resumed run may change without another result.
HARMLESS_KEYS = (
    "dataset_dir", "num_parallel_workers", "num_threads", "log_interval", "checkpoint_interval", "keep_checkpoint_max",
    "run_eval", "eval_transforms", "class_names", "eval_parallel",
)  # fmt: skip
# Options for frequent nested keys.
SHORT_OPTIONS = {
    "dataset_dir": ("data.dataset_dir", (TRAIN, EVAL, PREPROCESS)),
    "data_path": ("data.dataset_dir", (PREPROCESS,)),
    "lr_init": ("optimizer.lr_init", (TRAIN,)),
    "multi_scale": ("data.eval_transforms.multi_scale", (EVAL,)),
    "flip": ("data.eval_transforms.flip", (EVAL,)),
}


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML loader that refuses a key given twice in one mapping, where PyYAML would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            name = self.construct_object(key_node, deep=True)
            if not isinstance(name, (str, int, float)):
                raise ConfigError(f"{node.start_mark.name}:{key_node.start_mark.line + 1}: {name!r} cannot be a key")
            if name in seen:
                raise ConfigError(f"{node.start_mark.name}:{key_node.start_mark.line + 1}: key {name!r} given twice")
            seen.add(name)
        return super().construct_mapping(node, deep)


class Parser(argparse.ArgumentParser):
    """Argument parser whose complaints are one line, like every other error of the user's.

    Args:
        prog: the script, from the root of the repository.
        options: what `argparse.ArgumentParser` takes.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog=prog, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see python {self.prog} --help")


def boolean(text: str) -> bool:
    """Read True/true/1 or False/false/0 from the command line of a script without a configuration."""
    try:
        return to_bool(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"expected True or False, got {text!r}") from err


def whole_number(text: str) -> int:
    """Read 0, 1, 2, ... from the command line of a script without a configuration."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(text)


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
    bases = values.pop(BASE_KEY, None) or []
    if not isinstance(bases, (str, list)) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(f"{path}: {BASE_KEY} must be a file name or a list of file names, got {bases!r}")
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
            raise ConfigError(f"{path}: the list has no entry {name!r}{nearest(name, known)}")
    if not isinstance(node, dict):
        raise ConfigError(f"{path}: leads through a value that has no keys")
    if node.get(name) is None:
        node[name] = {}
    return node[name]


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


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Return a line for each key that both have with different values and that the losses depend on."""
    lines = []
    for name, value in new.items():
        if name not in old or name in RUN_KEYS + HARMLESS_KEYS:
            continue
        before = old[name]
        if isinstance(value, dict) and isinstance(before, dict):
            lines += differences(before, value, f"{prefix}{name}.")
        elif before != value:
            lines.append(f"{prefix}{name} was {before}, is {value} now")
    return lines


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
    """Make the parser of an entry script, named without its suffix: one option for each top-level key it uses."""
    parser = Parser(
        f"{script}.py",
        usage=f"python {script}.py [--option value ...] [section.key=value ...]",
        epilog=_epilog(),
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="YAML file (default %(default)s)")
    fields = {field.name: field for path, field in nested_keys(schema.Config) if "." not in path}
    for name, field in fields.items():
        if script in field.metadata["scripts"]:
            words = field.metadata["words"]
            several = {"nargs": len(words), "metavar": words} if words else {}
            description = _describe(field).replace("%", "%%")
            parser.add_argument(f"--{name}", type=Text, default=None, help=description, **several)
    for name, (path, scripts) in SHORT_OPTIONS.items():
        if script in scripts:
            parser.add_argument(f"--{name}", type=Text, default=None, help=f"short for {path}=...")
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
    given = {name: Text(f"[{','.join(value)}]") if isinstance(value, list) else value for name, value in given.items()}
    values = read_yaml(options.config)
    for name, value in given.items():
        set_path(values, SHORT_OPTIONS[name][0] if name in SHORT_OPTIONS else name, value)
    for word in rest:
        path, equals, value = word.partition("=")
        if word.startswith("-"):
            raise ConfigError(f"unknown option {path}{nearest(path, known)}")
        if not equals:
            raise ConfigError(f"unexpected argument {word!r}: options are --name value, overrides section.key=value")
        set_path(values, path, Text(value))
    try:
        return build_config(values)
    except ConfigError as err:
        count = len(str(err).splitlines())
        head = f"configuration {options.config}: " + ("" if count == 1 else f"{count} problems\n  ")
        raise ConfigError(head + str(err).replace("\n", "\n  ")) from err
