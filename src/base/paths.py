"""Names of files: what a user means by one, and what a file system can hold."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from src.base.errors import ConfigError

LONGEST_NAME = 255  # bytes of one part of a path, on every usual file system


def expanded(text: str) -> str:
    """Return a path as a user writes it, with ``~`` and ``~user`` at its beginning replaced by the home folder.

    Raises:
        ConfigError: there is no such user, none that HOME or the list of users tells, or no path can be called so.
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
    """Read a path from a command line, as `expanded` does."""
    return Path(expanded(text))


def user_program(text: str) -> str:
    """Return the path of a program that a user names, from the root: what runs it may do so in another folder.

    As a shell does, a name without "/" is looked for on PATH; one that is not found stays as it is. Links stay, too: a
    virtual environment is known by them.
    """
    path = expanded(text)
    found = path if "/" in path else shutil.which(path)
    return os.path.abspath(found) if found else path  # noqa: PTH100 - resolves no links


def name_problem(text: str) -> str:
    """Return why no file can be called `text`, or nothing."""
    if "\0" in text:
        return "holds a NUL byte, which no name of a file can"
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return "holds half a character, which no name of a file can"
    if "://" not in text and any(len(os.fsencode(part)) > LONGEST_NAME for part in text.split("/")):
        return f"a name is too long: file systems take {LONGEST_NAME} bytes"
    return ""


def fitting(name: str, spare: int = 0) -> str:
    """Return the name of a file, or where it has more than 255 bytes a shorter one, which is the same each time.

    Args:
        name: one part of a path.
        spare: bytes that are left free for what is added to it later.
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - of a name alone
    data = os.fsencode(name)
    if len(data) + spare <= LONGEST_NAME:
        return name
    suffix = suffix if len(os.fsencode(suffix)) <= LONGEST_NAME // 8 else ""
    mark = f"-{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
    room = LONGEST_NAME - spare - len(os.fsencode(mark))
    return os.fsencode(stem)[:room].decode(errors="ignore") + mark
