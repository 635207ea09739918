"""Files in an object store, through the platform's `moxing`; imported only where a URL needs it."""

from __future__ import annotations

import importlib
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from src.base.errors import UserError, one_line
from src.base.files import make_folder

logger = logging.getLogger(__name__)

SCHEMES = ("obs://", "s3://")
WAITS = (1.0, 2.0, 4.0)  # seconds before the second and each later attempt
SPARE_BYTES = 64 * 2**20  # to leave free on a disk
T = TypeVar("T")


def is_remote(url: str) -> bool:
    """Return whether a URL belongs to an object store; anything else is a path."""
    return url.startswith(SCHEMES)


def join(url: str, name: str) -> str:
    """Return the URL of `name`, a path with forward slashes, below `url`."""
    return f"{url.rstrip('/')}/{name}"


def require_space(folder: Path, size: int, what: str) -> None:
    """Raise a UserError unless `size` bytes fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        raise UserError(f"{what} needs {size / 1e9:.3f} GB in {folder}, where {free / 1e9:.3f} GB are free")


def within(seconds: float, what: str, work: Callable[[], T]) -> T:
    """Run `work` in a thread and return its result or raise its exception; the thread is abandoned after `seconds`.

    Raises:
        UserError: `work` took longer.
    """
    outcome: queue.Queue = queue.Queue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as err:  # noqa: BLE001 - raised again in the waiting thread
            outcome.put((None, err))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise UserError(f"{what}: not done after {seconds:g} s (transfer_timeout), given up") from None
    if error is not None:
        raise error
    return result


class ObjectStore:
    """Reads and writes ``obs://`` and ``s3://`` URLs; every operation is attempted up to four times.

    Args:
        url: the URL that needs the store, for the message.

    Raises:
        UserError: `moxing` is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self._file = importlib.import_module("moxing").file
        except ImportError as err:
            raise UserError(
                f"{url}: needs moxing, which the platform's images bring along; elsewhere give a path that is mounted"
            ) from err

    def _try(self, what: str, action: Callable[..., Any], *arguments: object, **options: object) -> Any:
        for wait in (*WAITS, None):
            try:
                return action(*arguments, **options)
            except Exception as err:  # noqa: BLE001 - moxing raises whatever its transport raises
                reason = one_line(err) or type(err).__name__
                if wait is None:
                    raise UserError(f"cannot {what}: {reason}") from err
                logger.warning("cannot %s: %s; again in %g s", what, reason, wait)
                time.sleep(wait)
        raise AssertionError("unreachable")

    def exists(self, url: str) -> bool:
        """Return whether there is a file or a folder at `url`."""
        return self._try(f"look for {url}", self._file.exists, url)

    def is_folder(self, url: str) -> bool:
        """Return whether there is a folder at `url`."""
        return self._try(f"look at {url}", self._file.is_directory, url)

    def names(self, url: str) -> list[str]:
        """Return the names of the files and folders directly in a folder."""
        listed = self._try(f"list {url}", self._file.list_directory, url)
        return sorted(str(name).strip("/") for name in listed)

    def modified(self, url: str) -> int:
        """Return the modification time of a file, in nanoseconds."""
        return self._try(f"look at {url}", self._file.stat, url).mtime_nsec

    def size(self, url: str) -> int:
        """Return the size in bytes of a file, or of all files in a folder."""
        return self._try(f"measure {url}", self._file.get_size, url, recursive=True)

    def download(self, url: str, target: Path) -> None:
        """Copy a file or a folder to `target` and check that it is complete.

        Raises:
            UserError: there is nothing at `url`, the disk is too small, or the download is incomplete.
        """
        if not self.exists(url):
            raise UserError(f"{url}: nothing there")
        size, started = self.size(url), time.monotonic()
        make_folder(target.parent)
        require_space(target.parent, size, f"{url}:")
        self._try(f"download {url}", self._download_once, url, target, size)
        files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
        seconds = time.monotonic() - started
        logger.info("downloaded %s: %d files, %.1f MB in %.1f s", url, len(files), size / 1e6, seconds)

    def _download_once(self, url: str, target: Path, size: int) -> None:
        if not self._file.is_directory(url):
            self._file.copy(url, str(target))
            arrived = target.stat().st_size if target.is_file() else 0
        else:
            target.mkdir(parents=True, exist_ok=True)
            self._file.copy_parallel(url, str(target))
            names = [str(name).strip("/") for name in self._file.list_directory(url, recursive=True)]
            absent = [name for name in names if not (target / PurePosixPath(name)).exists()]
            absent = [name for name in absent if not self._file.is_directory(join(url, name))]  # empty folders
            if absent:
                raise OSError(f"{len(absent)} files did not arrive, the first one {absent[0]}")
            arrived = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        if arrived < size:  # a file may have grown meanwhile
            raise OSError(f"{arrived} of {size} bytes arrived")

    def upload(self, path: Path, url: str) -> None:
        """Copy a file to `url`."""
        self._try(f"upload {path} to {url}", self._file.copy, str(path), url)

    def upload_once(self, path: Path, url: str) -> None:
        """Copy a file to `url` in a single attempt; raises moxing's own exceptions."""
        self._file.copy(str(path), url)

    def remove(self, url: str) -> None:
        """Remove a file."""
        self._try(f"remove {url}", self._file.remove, url)
