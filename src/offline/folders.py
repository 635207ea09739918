"""Output folders: a second run replaces the files of the first and touches nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from src.base.errors import ConfigError, DataError, UserError
from src.base.special_files import is_hidden
from src.base.temporary import is_temporary
from src.offline.manifest import NAME, input_files, read_manifest, result_name

_OLD_TEMPORARY = re.compile(r"\..+\.(\d+\.tmp|partial)")  # names used by earlier versions


def clear_earlier_run(inputs: Path, results: Path | None) -> None:
    """Remove the inputs and results of an earlier run, as listed in its manifest.

    Nothing is removed unless all files in both folders are listed.

    Raises:
        ConfigError: a folder holds other files.
    """
    stems = _earlier_stems(inputs)
    old = _own_files(inputs, input_files(stems))
    if results is not None:
        old += _own_files(results, map(result_name, stems))
    for path in sorted(old, key=lambda path: path == inputs / NAME):  # the manifest last, for a retry
        try:
            path.unlink()
        except OSError as err:
            raise UserError(f"cannot remove {path} of an earlier run: {err.strerror}") from err


def _earlier_stems(inputs: Path) -> tuple[str, ...]:
    if not (inputs / NAME).is_file():
        return ()
    try:
        return read_manifest(inputs).stems
    except DataError as err:
        raise ConfigError(
            f"{inputs / NAME}: not readable, so what lies beside it is unknown; take another folder"
        ) from err


def beside(path: Path, name: str) -> Path:
    """Return `name` in the folder that holds `path`; links are not followed, as in the C++ runner."""
    return Path(os.path.abspath(path)).parent / name  # noqa: PTH100 - resolve() follows links


def refuse_file(folder: Path) -> None:
    """Raise a ConfigError if `folder` exists and is not a folder."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, not a folder")


def _own_files(folder: Path, listed: Iterable[str]) -> list[Path]:
    """Return the files below `folder`, after checking that all are `listed` (relative to it) or temporary files.

    Hidden files of other programs are ignored and stay.
    """
    refuse_file(folder)
    listed = set(listed)
    found = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    own = [path for path in found if str(path.relative_to(folder)) in listed or _is_leftover(path)]
    for path in found:
        if path not in own and not is_hidden(path.relative_to(folder)):
            raise ConfigError(f"{folder}: holds {path.name}, which no earlier run lists; take an empty folder")
    return own


def _is_leftover(path: Path) -> bool:
    """Return whether a file is a half-written one of a killed run or C++ runner."""
    return not path.is_symlink() and (is_temporary(path.name) or _OLD_TEMPORARY.fullmatch(path.name) is not None)
