"""Declaring the keys of a configuration section and checking their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING
from typing import Any

from src.base.errors import ConfigError

TRAIN, EVAL, EXPORT, PREPROCESS = "train", "eval", "export", "preprocess"
CHECK_DATASET, BROWSE_DATASET = "scripts/check_dataset", "scripts/browse_dataset"
QUANTIZE = "scripts/quantize_onnx"
ALL = (TRAIN, EVAL, EXPORT, PREPROCESS, CHECK_DATASET, BROWSE_DATASET, QUANTIZE)
WITH_DATA = (TRAIN, EVAL, PREPROCESS, CHECK_DATASET, BROWSE_DATASET, QUANTIZE)
WITH_NETWORK = (TRAIN, EVAL, EXPORT)


def key(  # noqa: PLR0913 - everything about a key is declared here
    default: Any = MISSING,
    help: str = "",  # noqa: A002 - what argparse calls it
    *,
    scripts: Iterable[str] = ALL,
    choices: Collection[Any] = (),
    check: Callable[[Any], str] | None = None,
    words: tuple[str, ...] = (),
    run_only: bool = False,
    may_change: bool = False,
) -> Any:
    """Declare one configuration key.

    Args:
        default: value used when neither YAML nor the command line gives one; MISSING makes the key required.
        help: meaning and unit, shown by ``--help`` and in docs/configuration.md.
        scripts: the entry scripts that offer a top-level key as an option.
        choices: the accepted values, or those of a list's entries, if they can be listed.
        check: returns what is wrong with a value, or ""; not called for null. Keys checked by `not_empty` are paths.
        words: names of the words that the option takes, if it takes more than one.
        run_only: the key belongs to one invocation; a saved configuration does not pass it on.
        may_change: a resumed run may change the key without affecting its result.
    """
    metadata: dict[str, Any] = {"help": help, "scripts": tuple(scripts), "choices": choices, "check": check}
    metadata |= {"words": words, "run_only": run_only, "may_change": may_change, "is_path": check is not_empty}
    return dataclasses.field(default=default, metadata=metadata)


def at_least(low: float) -> Callable[[Any], str]:
    """Make a check that a number, or each number of a list, is at least `low`."""
    return between(low, float("inf"))


def between(low: float, high: float) -> Callable[[Any], str]:
    """Make a check that a number, or each number of a list, lies in `low`..`high`, both included."""
    wanted = f"must be at least {low}" if high == float("inf") else f"must lie in {low}..{high}"

    def check(value: Any) -> str:
        numbers = value if isinstance(value, tuple) else (value,)
        return "" if all(low <= number <= high for number in numbers) else f"{wanted}, got {_show(value)}"

    return check


def strictly_between(low: float, high: float) -> Callable[[Any], str]:
    """Make a check that a number lies between `low` and `high`, both excluded."""
    return lambda value: "" if low < value < high else f"must lie between {low} and {high}, got {value}"


def positive(value: Any) -> str:
    """Check that a number, or every number of a list, is above zero."""
    numbers = value if isinstance(value, tuple) else (value,)
    return "" if all(number > 0 for number in numbers) else f"must be positive, got {_show(value)}"


def weights(value: tuple[float, ...]) -> str:
    """Check that weights are at least zero and not all zero."""
    complaint = at_least(0)(value)
    return complaint or ("" if any(value) else f"must not all be 0: nothing would be learned, got {_show(value)}")


def not_empty(value: str) -> str:
    """Check that a path is not empty, as from an unset shell variable; an empty path is not a missing option."""
    return "" if value.strip() else "must not be empty"


def ordered_range(value: tuple[float, float]) -> str:
    """Check for [low, high] with 0 <= low <= high."""
    return "" if 0 <= value[0] <= value[1] else f"must be [low, high] with 0 <= low <= high, got {_show(value)}"


def scale_interval(value: tuple[float, float]) -> str:
    """Check for [low, high] with 0 < low <= high."""
    return "" if 0 < value[0] <= value[1] else f"must be [low, high] with 0 < low <= high, got {_show(value)}"


def share(value: float) -> str:
    """Check for a share of a whole: above 0, up to 1."""
    return "" if 0 < value <= 1 else f"must lie above 0, up to 1; got {value}"


def _show(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def problem_unless(condition: bool, key_name: str, message: str) -> list[str]:
    """Return the problem ``key_name: message`` unless `condition` holds."""
    return [] if condition else [f"{key_name}: {message}"]


def refuse(problems: list[str]) -> None:
    """Raise one ConfigError with all `problems`, if there are any."""
    if problems:
        raise ConfigError("\n".join(problems))


def field_problems(section: type, values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with each of `values` on its own, by the choices and the check of its key in `section`."""
    problems = []
    for field in dataclasses.fields(section):
        value, choices, check = values.get(field.name), field.metadata["choices"], field.metadata["check"]
        if value is None:
            continue
        wrong = [item for item in (value if isinstance(value, tuple) else (value,)) if choices and item not in choices]
        if wrong:
            problems.append(f"{field.name}: must be one of {', '.join(map(str, choices))}; got {wrong[0]!r}")
        complaint = check(value) if check else ""
        problems += problem_unless(not complaint, field.name, complaint)
    return problems


class Section:
    """Base of the sections; making one raises a ConfigError that names all problems with its values."""

    def __post_init__(self) -> None:
        refuse(field_problems(type(self), vars(self)) or self.problems())

    def problems(self) -> list[str]:
        """Return the problems of values in combination, each of which is valid on its own."""
        return []
