"""Paths as users write them, and names that file systems accept."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from src.base.errors import ConfigError

LONGEST_NAME = 255  # bytes of one part of a path, on every usual file system


def expand_path(text: str) -> str:
    """Return a path given by a user, with a leading ``~`` or ``~user`` replaced by the home folder.

    Raises:
        ConfigError: there is no such user, the home folder is unknown, or `text` is not a valid path.
    """
    complaint = name_problem(text)
    if complaint:
        raise ConfigError(f"{text!r}: {complaint}")
    path = os.path.expanduser(text)  # noqa: PTH111 - a Path would shorten obs://
    if not path.startswith("~"):
        return path
    user = text.split("/", 1)[0][1:]
    reason = f"there is no user {user}" if user else "HOME is not set, and the list of users does not have this one"
    raise ConfigError(f"{text}: {reason}; write the whole path, or ./{text} for a name that begins with ~")


def user_path(text: str) -> Path:
    """Read a path from a command line, as `expand_path` does."""
    return Path(expand_path(text))


def path_argument(value: object, name: str) -> Path:
    """Return the path that a Python function was given as its argument `name`, with ``~`` expanded.

    Raises:
        ConfigError: it is neither text nor a path, or empty.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise ConfigError(f"{name}: expected the path of a file, got {type(value).__name__}")
    if not text:
        raise ConfigError(f"{name}: is empty; give the path of a file")
    return user_path(text)


def user_program(text: str) -> str:
    """Return the absolute path of a program that a user names, so that it can be run from any folder.

    As in a shell, a name without "/" is searched on PATH; one that is not found is returned as it is. Links are not
    resolved: virtual environments depend on them.
    """
    path = expand_path(text)
    found = path if "/" in path else shutil.which(path)
    return os.path.abspath(found) if found else path  # noqa: PTH100 - resolves no links


def name_problem(text: str) -> str:
    """Return why `text` is not a valid file name, or ""."""
    if "\0" in text:
        return "holds a NUL byte, which no file name can"
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return "holds half a character, which no file name can"
    if "://" not in text and any(len(os.fsencode(part)) > LONGEST_NAME for part in text.split("/")):
        return f"a name is too long: file systems take {LONGEST_NAME} bytes"
    return ""


def fitting(name: str, spare: int = 0) -> str:
    """Return a file name, deterministically shortened if it has more than 255 bytes.

    Args:
        name: one part of a path.
        spare: bytes to leave free for later additions to the name.
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - of a name alone
    data = os.fsencode(name)
    if len(data) + spare <= LONGEST_NAME:
        return name
    suffix = suffix if len(os.fsencode(suffix)) <= LONGEST_NAME // 8 else ""
    mark = f"-{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
    room = LONGEST_NAME - spare - len(os.fsencode(mark))
    return os.fsencode(stem)[:room].decode(errors="ignore") + mark
