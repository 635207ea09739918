"""Temporary files with unpredictable names, beside the files they become, removed however the writing ends.

A name is ``.STEM.PID-TOKEN.partial.SUFFIX`` with a token of 16 hexadecimal digits. Only regular files of exactly this
pattern are removed as leftovers of a killed process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

LONGEST_STEM = 120  # bytes of a name that its temporary name repeats; a file name has 255 at most
LONGEST_SUFFIX = 12  # a longer suffix does not matter to any library
_PATTERN = re.compile(r"\.(?P<stem>.+)\.\d+-[0-9a-f]{16}\.partial(?P<suffix>\.[^.]+)?", re.DOTALL)
guards: list[Callable[[], None]] = []  # called before a file gets its final name; raise to prevent it


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a new, empty file beside `path`, which is renamed to `path` at the end of the block.

    If the block raises, e.g. because of a signal, the file and any that a library derived from its name are removed.
    The umask decides who may read the file. A symbolic link at `path` is replaced, not followed.

    Raises:
        OSError: the file cannot be made or renamed.
    """
    _call_guards()
    mark = f".{os.getpid()}-{secrets.token_hex(8)}.partial"
    temporary = path.with_name(f".{_stem(path)}{mark}{_suffix(path)}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
        yield temporary
        if not stat.S_ISREG(temporary.lstat().st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(temporary))
        _call_guards()
        temporary.replace(path)
    except BaseException:
        _remove(path.parent, lambda name: mark in name)
        raise


@contextlib.contextmanager
def path_with_suffix(path: str | Path, suffix: str) -> Iterator[Path]:
    """Yield `path`, or a link to it that ends in `suffix`, for libraries that insist on a suffix."""
    path = Path(path)
    if path.suffix == suffix:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"link{suffix}"
        link.symlink_to(path.resolve())
        yield link


def is_temporary(name: str) -> bool:
    """Return whether `name` has the pattern of the temporary files of `replacing`."""
    return _PATTERN.fullmatch(name) is not None


def remove_remains(folder: Path, parts: Iterable[str] = ()) -> None:
    """Remove temporary files of killed processes in `folder`, and in and below its folders `parts`.

    The caller must hold the claim of the folder, so that no other process is writing there.
    """
    _remove(folder, is_temporary)
    for part in parts:
        for below, _, _ in os.walk(folder / part):  # follows no link
            _remove(Path(below), is_temporary)


def remove_remains_of(path: Path) -> None:
    """Remove temporary files of killed processes for one file, whose claim the caller must hold."""
    stem, suffix = _stem(path), _suffix(path)
    suffixes = (suffix, ".tmp") if suffix == ".ckpt" else (suffix,)  # MindSpore's own temporary suffix

    def is_one(name: str) -> bool:
        match = _PATTERN.fullmatch(name)
        return match is not None and match["stem"] == stem and (match["suffix"] or "") in suffixes

    _remove(path.parent, is_one)


def _stem(path: Path) -> str:
    name = path.name.removesuffix(_suffix(path))
    return os.fsencode(name)[:LONGEST_STEM].decode(errors="ignore") or "_"


def _suffix(path: Path) -> str:
    return path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_SUFFIX else ""


def _remove(folder: Path, chosen: Callable[[str], bool]) -> None:
    """Remove the regular files in `folder` whose names are `chosen`; one that cannot be removed stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in [entry for entry in entries if chosen(entry.name)]:
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)  # noqa: PTH108


def _call_guards() -> None:
    for guard in guards:
        guard()
