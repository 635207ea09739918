"""Claims: a run's folder, or a file to be written, belongs to one process at a time, across machines.

A claim is a hidden file, ``.claim`` in a folder or ``.NAME.claim`` beside a file, that names its holder. The holder
locks it (flock) and touches it every 30 seconds. The claim becomes free

- at once, if the holder ran on this machine and its process, identified by number and start time, is gone, whatever
  the lock says;
- at once, if the holder ran in another container of this machine, had locked the claim, and the lock is gone;
- otherwise once it is not locked and has not been touched for 5 minutes by the clock of the file system, which is read
  by touching another file there. Whether other machines see a lock depends on the file system.

If several processes find a free claim, exactly one gets it: the claim is created as a hard link, which is atomic, and
taken over only by the process that managed to create ``.claim.takeover``.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from src.base import temporary
from src.base.claim_files import STALE_SECONDS, InUseError, Owner, acquire, is_held
from src.base.errors import UserError
from src.base.paths import fitting

BEAT_SECONDS = 30.0
POLL_SECONDS = 1.0  # between attempts of a process that waits for a claim
LOST_FOLDERS = 10  # attempts at a folder that other processes keep removing
NAME = ".claim"
NAME_OVERHEAD = 40  # bytes that a claim's or draft's name adds to the name of the claimed file

_held: dict[Path, Claim] = {}


class ClaimLostError(UserError):
    """Another process took over this process's claim, whose heartbeat had stopped for too long."""


class Claim:
    """A claim that this process holds until `release` or until it exits.

    Args:
        target: the claimed folder or file.
        path: the claim file.
        owner: this process.
        sweep: removes leftovers of killed processes; called at once and on release.
    """

    def __init__(self, target: Path, path: Path, owner: Owner, sweep: Callable[[], None]) -> None:
        self.target, self.owner, self.sweep = target, owner, sweep
        self.made = _make_folders(path.parent)
        self.path = path.parent.resolve() / path.name  # absolute: the working directory may change
        try:
            self.descriptor = acquire(self.path, target, owner)
        except BaseException:
            self._remove_folders()
            raise
        self.lost = False
        self._end = threading.Event()
        threading.Thread(target=self._beat, daemon=True, name="claim").start()
        sweep()

    def _beat(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})  # for the main thread
        while not self._end.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                if is_held(self.path, self.descriptor, self.owner):
                    os.utime(self.path, follow_symlinks=False)

    def require(self) -> None:
        """Raise a ClaimLostError if the claim is no longer this process's."""
        if os.getpid() != self.owner.pid:  # a forked child holds no claims
            return
        if not self.lost and is_held(self.path, self.descriptor, self.owner):
            return
        self.lost = True
        _close_logs(self.target)
        raise ClaimLostError(
            f"{self.target}: taken over by another process, as this one gave no sign of life for "
            f"{STALE_SECONDS / 60:g} minutes or its {self.path.name} was removed; stopped"
        )

    def release(self) -> None:
        """Release the claim."""
        self._end.set()
        if os.getpid() != self.owner.pid:
            return
        if not self.lost and is_held(self.path, self.descriptor, self.owner):
            self.sweep()
            with contextlib.suppress(OSError):
                os.unlink(self.path)  # noqa: PTH108
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
        self._remove_folders()

    def _remove_folders(self) -> None:
        """Remove the folders that were made for the claim, if they are empty."""
        with contextlib.suppress(OSError):
            for folder in self.made:
                folder.rmdir()


def hold_folder(folder: str | Path, what: str, option: str, *, parts: Sequence[str] = (), wait: bool = False) -> None:
    """Claim a folder until this process ends, making it if necessary; does nothing if this process holds it already.

    Args:
        folder: where results go.
        what: what this process does, for other processes' messages, e.g. "training".
        option: the option that another process has to change, e.g. "--save_dir".
        parts: folders in it from which leftovers of killed processes are removed.
        wait: wait a little longer than it takes an abandoned claim to become free, and say so once.

    Raises:
        InUseError: another process holds it.
        UserError: the folder or the claim cannot be written.
    """
    place = Path(folder).resolve()

    def sweep() -> None:
        temporary.remove_remains(place, parts)

    _hold(Path(folder), Path(folder) / NAME, what, option, sweep, wait=wait)


def hold_file(path: str | Path, what: str, option: str, *others: Path) -> None:
    """Claim the name of a file, until this process ends.

    Args:
        path: the file that will be written.
        what: what writes the file, for other processes' messages, e.g. "export".
        option: the option that another process has to change, e.g. "--file_name".
        others: further files that are written together with it.

    Raises:
        InUseError: another process holds it.
        UserError: the claim cannot be written.
    """
    path = Path(path)
    written_together = [one.parent.resolve() / one.name for one in (path, *others)]

    def sweep() -> None:
        for written in written_together:
            temporary.remove_remains_of(written)

    _hold(path, path.with_name(f".{fitting(path.name, NAME_OVERHEAD)}{NAME}"), what, option, sweep)


def hold_launch(save_dir: str | Path, node_rank: int, *, wait: bool = False) -> None:
    """Claim the logs that the launcher of one machine writes to a run's folder; rank 0 claims the folder itself.

    Args:
        save_dir: folder of the run.
        node_rank: number of the machine.
        wait: as for `hold_folder`.

    Raises:
        InUseError: another launcher holds them.
        UserError: the claim cannot be written.
    """
    path = Path(save_dir) / "logs" / f".launcher_{node_rank}{NAME}"
    _hold(Path(save_dir), path, "job", "SAVE_DIR", lambda: None, wait=wait)


def require_held() -> None:
    """Raise a ClaimLostError if another process has taken over any claim of this one."""
    for claim in _held.values():
        claim.require()


class Main(Protocol):
    """What an entry script's `main` is called as."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def releasing(main: Main) -> Main:
    """Decorate the `main` of a script to release its claims however it ends, for callers that go on afterwards."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        finally:
            release_all()

    return run


def release_all() -> None:
    """Release all claims of this process."""
    while _held:
        _held.popitem()[1].release()


def _hold(target: Path, path: Path, what: str, option: str, sweep: Callable[[], None], *, wait: bool = False) -> None:
    place = path.parent.resolve() / path.name
    if place in _held:
        return
    if not _held:
        _install_hooks()
    try:
        _held[place] = _retry_claim(lambda: Claim(target, path, Owner.this_process(what, option), sweep), wait=wait)
    except OSError as err:
        raise UserError(f"cannot write to {path.parent}: {err.strerror or err}") from err


def _retry_claim(take: Callable[[], Claim], *, wait: bool) -> Claim:
    end, said = time.monotonic() + (STALE_SECONDS + 2 * BEAT_SECONDS if wait else 0), False
    lost_folders = 0
    while True:
        try:
            return take()
        except InUseError as err:
            if time.monotonic() >= end:
                raise
            if not said:
                sys.stderr.write(f"waiting up to {STALE_SECONDS / 60 + 1:g} minutes: {err.reason}\n")
                said = True
            time.sleep(POLL_SECONDS)
        except FileNotFoundError:  # another process removed the folder it had made
            lost_folders += 1
            if lost_folders == LOST_FOLDERS:
                raise


def _install_hooks() -> None:
    """Release all claims at exit (for signals see `stops`), and check before every write that none was lost."""
    if require_held not in temporary.guards:
        temporary.guards.append(require_held)
        atexit.register(release_all)


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents; return the new ones, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise UserError(f"cannot make the folder {folder}: {err.strerror or err}") from err
    return [path.resolve() for path in missing]


def _close_logs(target: Path) -> None:
    """Stop logging to files in a folder that now belongs to another process."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).is_relative_to(target.resolve()):
            root.removeHandler(handler)
