"""Making folders, and writing files atomically."""

from __future__ import annotations

from pathlib import Path

from src.base.errors import UserError
from src.base.temporary import replacing


def make_folder(folder: str | Path) -> None:
    """Make a folder and its parents, unless they exist.

    Raises:
        UserError: the folder cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise UserError(f"cannot make the folder {folder}: {err.strerror or err}") from err


def write_whole(path: str | Path, data: bytes, what: str = "") -> None:
    """Write `data` to `path` atomically, replacing an existing file.

    Args:
        path: the file.
        data: its content.
        what: what the file is, for the message, e.g. "the picture ".

    Raises:
        UserError: the file cannot be written; nothing is left behind.
    """
    path = Path(path)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as err:
        raise UserError(f"cannot write {what}{path}: {err.strerror or err}") from err


def require_new(path: str | Path, what: str = "") -> None:
    """Raise a UserError if `path` exists or its folder does not; to be called before the work that makes the file."""
    path = Path(path)
    if path.exists():
        raise UserError(f"{what}{path} is there already and is left as it is; give another name")
    if not path.parent.is_dir():
        raise UserError(f"cannot write {what}{path}: no such folder: {path.parent}")


def write_new(path: str | Path, data: bytes, what: str = "") -> None:
    """Write `data` to a file that must not exist yet.

    Raises:
        UserError: the file exists or cannot be written.
    """
    require_new(path, what)
    write_whole(path, data, what)


def holds_anything(folder: str | Path) -> bool:
    """Return whether `folder` exists and holds anything but hidden files."""
    folder = Path(folder)
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
