"""The command line of the entry scripts: options and overrides on top of a YAML file, see `src/config/loading.py`.

Precedence: ``a.b=value`` overrides, then command-line options, then the YAML file, then its bases (later ones win),
then the defaults of the schema. This is the only module that parses command lines.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, NoReturn

from src.base.errors import ConfigError
from src.base.paths import user_path
from src.config import schema
from src.config.builder import Text, nearest, to_bool
from src.config.loading import DEFAULT_CONFIG, build_from, find_config, head_problems
from src.config.registry import TRANSFORMS
from src.config.saved import nested_keys
from src.config.schema_base import EVAL, PREPROCESS, QUANTIZE, TRAIN, WITH_DATA, WITH_NETWORK
from src.config.yaml_files import read_yaml, set_path

logger = logging.getLogger(__name__)

# Options for frequent nested keys, and other names in use.
SHORT_OPTIONS = {
    "dataset_dir": ("data.dataset_dir", WITH_DATA),
    "data": ("data.dataset_dir", (QUANTIZE,)),
    "data_path": ("data.dataset_dir", (PREPROCESS,)),
    "mindir_path": ("model_path", (PREPROCESS,)),
    "lr_init": ("optimizer.lr_init", (TRAIN,)),
    "multi_scale": ("data.eval_transforms.multi_scale", (EVAL,)),
    "flip": ("data.eval_transforms.flip", (EVAL,)),
    "enable_modelarts": ("modelarts", WITH_NETWORK),
    "ckpt_url": ("checkpoint_url", WITH_NETWORK),
}


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


def positive_number(text: str) -> int:
    """Read 1, 2, 3, ... from the command line of a script without a configuration."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _describe(field: dataclasses.Field) -> str:
    text = field.metadata["help"]
    if field.metadata["choices"]:
        text += f" [{', '.join(map(str, field.metadata['choices']))}]"
    if field.default is not None and field.default is not dataclasses.MISSING:
        text += f" (default {field.default})"
    return text


def _epilog() -> str:
    lines = ["keys set by name=value at the end of the command line, e.g. optimizer.lr_init=0.02:"]
    lines += [f"  {path}: {_describe(field)}" for path, field in nested_keys(schema.Config) if "." in path]
    lines.append("arguments of transforms, e.g. data.train_transforms.item_transforms.RandomFlip.prob=0.5:")
    for name, section in TRANSFORMS.items():
        lines += [f"  {path}: {_describe(field)}" for path, field in nested_keys(section, name + ".")]
    return "\n".join(line.replace("%", "%%") for line in lines)


def make_parser(script: str, own: argparse.ArgumentParser | None = None) -> argparse.ArgumentParser:
    """Make the parser of an entry script, named without its suffix: one option for each top-level key it uses.

    Args:
        script: the script.
        own: the script's options that are no configuration keys; made with ``add_help=False``.
    """
    parser = Parser(
        f"{script}.py",
        usage=f"python {script}.py [--option value ...] [section.key=value ...]",
        epilog=_epilog(),
        parents=[own] if own else [],
    )
    parser.add_argument("--config", type=user_path, default=DEFAULT_CONFIG, help="YAML file (default %(default)s)")
    fields = {field.name: field for path, field in nested_keys(schema.Config) if "." not in path}
    for name, field in fields.items():
        if script in field.metadata["scripts"]:
            words = field.metadata["words"]
            several = {"nargs": len(words), "metavar": words} if words else {}
            description = _describe(field).replace("%", "%%")
            parser.add_argument(f"--{name}", type=Text, default=None, help=description, **several)
    for name, (path, scripts) in SHORT_OPTIONS.items():
        if script in scripts:
            parser.add_argument(f"--{name}", type=Text, default=None, help=f"the same as {path}=...")
    return parser


def _is_cloud_job(values: dict) -> bool:
    try:
        return to_bool(str(values.get("modelarts", False)))
    except ValueError:  # told with all other problems
        return False


def _overrides(rest: Sequence[str], known: Sequence[str], *, tolerant: bool) -> list[tuple[str, str]]:
    """Return (path, value) of every ``section.key=value`` in what the parser left over.

    Args:
        rest: words of the command line.
        known: the options there are.
        tolerant: log and leave out everything else instead of raising.

    Raises:
        ConfigError: an unknown option, or a word that is neither option nor override.
    """
    sections = [field.name for field in dataclasses.fields(schema.Config)]
    found, ignored = [], []
    for word in rest:
        path, equals, value = word.partition("=")
        if word.startswith("-"):
            problem = f"unknown option {path}{nearest(path, known)}"
        elif not equals:
            problem = f"unexpected argument {word!r}: options are --name value, overrides section.key=value"
        elif tolerant and path.split(".")[0] not in sections:
            problem = f"{path}: unknown key{nearest(path.split('.')[0], sections)}"
        else:
            found.append((path, value))
            continue
        if not tolerant:
            raise ConfigError(problem)
        ignored.append(word)
        if nearest(path.split(".")[0], [*known, *sections], cutoff=0.8).startswith("; did you mean"):
            logger.warning("ignored: %s", problem)  # a slip of the user's rather than the platform's own
    if ignored:
        logger.warning("arguments that were ignored: %s", " ".join(ignored))
    return found


def parse_config(argv: Sequence[str] | None, script: str, own: argparse.ArgumentParser | None = None) -> schema.Config:
    """Parse the command line of `script` and return the configuration.

    Args:
        argv: the words of the command line.
        script: the script, named without its suffix.
        own: a parser of options that are no keys, which has taken them out of `argv`: for ``--help``.

    Raises:
        ConfigError: any problem of the command line or the files, all problems of the resulting values at once.
    """
    parser = make_parser(script, own)
    options, rest = parser.parse_known_args(argv)
    known = [flag for action in parser._actions for flag in action.option_strings]
    others = {"config", *(action.dest for action in own._actions)} if own else {"config"}
    given = {name: value for name, value in vars(options).items() if value is not None and name not in others}
    given = {name: Text(f"[{','.join(value)}]") if isinstance(value, list) else value for name, value in given.items()}
    options.config = find_config(options.config)  # a cloud job runs in a folder of its own
    values = read_yaml(options.config)
    for name, value in given.items():
        set_path(values, SHORT_OPTIONS[name][0] if name in SHORT_OPTIONS else name, value)
    for path, value in _overrides(rest, known, tolerant=_is_cloud_job(values)):
        set_path(values, path, Text(value))
    return build_from(values, options.config, head_problems if script == TRAIN else lambda config: [])
