"""Errors that are the user's to mend: shown as one line, without a traceback. Further down: what is no mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class UserError(Exception):
    """A mistake in what the user gave; `run_entry` prints its message and exits with code 2."""


class ConfigError(UserError):
    """A configuration key, value or command-line option is wrong."""


class DataError(UserError):
    """An image, a label or a list file is missing, unreadable or inconsistent."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged or belongs to another network."""


class TrainingError(UserError):
    """Training cannot go on, e.g. because the loss stays non-finite."""


class EvaluationInterruptedError(Exception):
    """The evaluation was abandoned because its caller asked for it."""


class TerminatedError(BaseException):
    """SIGTERM, outside of the training loop, which has its own way to stop."""


def one_line(err: BaseException) -> str:
    """Return what an error of somebody else's says as a part of one line, 200 letters at most."""
    return " ".join(str(err).split())[:200]


def printable(text: str) -> str:
    """Return a text with what a terminal would obey written out, such as ``\\x1b``; new lines and tabs stay."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def count_names(names: Iterable[str], shown: int = 3) -> str:
    """Return how many names there are, and the first few of them: "208 (a, b, c and 205 more)"."""
    names = list(names)
    return f"{len(names)} ({first_names(names, shown)})"


def first_names(names: Sequence[str], shown: int = 3) -> str:
    """Return the first few of a list of names, and how many more there are: "a, b, c and 205 more"."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
