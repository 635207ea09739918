"""Errors that the user can fix, shown as one line without a traceback, and exceptions that are not mistakes."""

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
    """The evaluation was abandoned at its caller's request."""


class TerminatedError(BaseException):
    """SIGTERM arrived outside the training loop, which handles it on its own."""


def one_line(err: BaseException) -> str:
    """Return the message of a library's error on one line, 200 characters at most."""
    return " ".join(str(err).split())[:200]


def printable(text: str) -> str:
    """Return a text with terminal control characters escaped, such as ``\\x1b``; new lines and tabs stay."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def count_names(names: Iterable[str], shown: int = 3) -> str:
    """Return how many names there are, and the first few of them: "208 (a, b, c and 205 more)"."""
    names = list(names)
    return f"{len(names)} ({first_names(names, shown)})"


def first_names(names: Sequence[str], shown: int = 3) -> str:
    """Return the first few of a list of names, and how many more there are: "a, b, c and 205 more"."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
