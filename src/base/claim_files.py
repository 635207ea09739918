"""The file of a claim: its holder, whether the holder is alive, and acquiring it for exactly one process."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import platform
import re
import secrets
import stat
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from src.base.errors import UserError
from src.base.living import process_identity
from src.base.locks import TAKING_SECONDS, folder_lock, is_locked, lock

STALE_SECONDS = 300.0  # without a heartbeat
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC


class InUseError(UserError):
    """Another process holds a claim.

    Args:
        target: the claimed folder or file.
        owner: the holder of the claim, if it can be read.
        option: the option to change.
    """

    def __init__(self, target: Path, owner: Owner | None, option: str) -> None:
        who = f"another {owner.what} (host {owner.host}, process {owner.pid}, since {owner.since})" if owner else ""
        self.reason = f"{target} is in use by {who or 'another process'}"
        super().__init__(f"{self.reason}; take another {option}")


@dataclass(frozen=True)
class Owner:
    """The holder of a claim.

    Attributes:
        what: what the process does.
        option: the option that another process has to change.
        host: name of the machine.
        machine: boot id, which distinguishes machines of the same name.
        space: PID namespace; containers have their own.
        pid: process number.
        process: distinguishes the process from an earlier one with the same number.
        since: time of the claim, for people.
        locked: whether the file system could lock the claim.
    """

    what: str
    option: str
    host: str
    machine: str
    space: str
    pid: int
    process: str
    since: str
    locked: bool = False

    @classmethod
    def this_process(cls, what: str, option: str) -> Owner:
        """Return the owner that describes this process."""
        machine = space = ""
        with contextlib.suppress(OSError):
            machine = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
            space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        return cls(what, option, platform.node(), machine, space, os.getpid(), process_identity(os.getpid()), now)

    def shares_pid_namespace(self, other: Owner) -> bool:
        """Return whether both are in one PID namespace: same machine, same container."""
        return bool(self.machine) and (self.host, self.machine, self.space) == (other.host, other.machine, other.space)

    def is_same_owner(self, other: Owner | None) -> bool:
        """Return whether `other`, read from a claim, is this owner."""
        names = ("machine", "space", "process", "since")
        return other is not None and all(getattr(self, name) == getattr(other, name) for name in names)


def acquire(path: Path, target: Path, owner: Owner) -> int:
    """Create the claim `path` for `target`; return its open descriptor, which holds the lock.

    Raises:
        InUseError: a living process holds the claim.
        OSError: the claim cannot be written.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = _write(draft, owner)
    try:
        with folder_lock(path.parent):
            _acquire(draft, path, target, owner)
        if not os.path.samestat(path.stat(), os.fstat(descriptor)):  # no hard links: the claim is another file
            os.close(descriptor)
            descriptor = _open_own(path, target, owner)
        _remove_drafts(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return descriptor


def _open_own(path: Path, target: Path, owner: Owner) -> int:
    descriptor = os.open(path, os.O_RDWR | _FLAGS)
    found = _parse(os.read(descriptor, 65536))
    if not owner.is_same_owner(found):
        os.close(descriptor)
        raise InUseError(target, found, owner.option)
    lock(descriptor)
    return descriptor


def _remove_drafts(path: Path, descriptor: int) -> None:
    """Remove drafts of processes that were killed while they acquired this claim."""
    for draft in path.parent.glob(f"{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError):
            status, now = draft.lstat(), os.fstat(descriptor).st_mtime
            is_draft = re.fullmatch(r"[0-9a-f]{16}", draft.name.rpartition(".")[2]) and stat.S_ISREG(status.st_mode)
            if is_draft and now - status.st_mtime > STALE_SECONDS:
                draft.unlink()


def is_held(path: Path, descriptor: int, owner: Owner) -> bool:
    """Return whether the claim at `path` is still the owner's, which has it open as `descriptor`.

    Opening it makes a network file system ask its server. Some give a file another inode number on each open; then the
    content decides.
    """
    try:
        other = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as err:
        return err.errno not in (errno.ELOOP, errno.ESTALE)  # any other error does not mean that it was lost
    try:
        return os.path.sameopenfile(other, descriptor) or owner.is_same_owner(_parse(os.read(other, 65536)))
    except OSError:
        return False  # a folder
    finally:
        os.close(other)


def _write(path: Path, owner: Owner) -> int:
    """Write a new file that names the owner; return its descriptor, which holds a lock if the file system can lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o644)
    try:
        record = json.dumps(asdict(owner) | {"locked": lock(descriptor) is True}).encode()
        if os.write(descriptor, record) < len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _flush(descriptor)
    except BaseException:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return descriptor


def _flush(descriptor: int) -> None:
    """Flush to the disk or the server of a network file system, where the file system supports it."""
    try:
        os.fsync(descriptor)
    except OSError as err:
        if err.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _acquire(draft: Path, path: Path, target: Path, owner: Owner) -> None:
    """Give the draft the name of the claim, if the claim is free or can be taken over."""
    end = time.monotonic() + TAKING_SECONDS
    while True:
        if _create(draft, path, owner):
            return
        held = _ExistingClaim.at(path)
        if held is None:
            continue
        if held.is_alive(owner, draft):
            raise InUseError(target, held.owner, owner.option)
        if _take_over(draft, path, owner):
            return
        if time.monotonic() > end:
            raise InUseError(target, held.owner, owner.option)
        time.sleep(0.02)


def _create(draft: Path, path: Path, owner: Owner) -> bool:
    """Create the claim if there is none; return whether it is the owner's now."""
    try:
        os.link(draft, path)
    except FileExistsError:
        try:
            return path.samefile(draft)  # a network file system lost its reply and repeated the request
        except OSError:
            return False
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        with contextlib.suppress(FileExistsError):
            os.close(_write(path, owner))
            return True
        return False
    return True


def _take_over(draft: Path, path: Path, owner: Owner) -> bool:
    """Replace a claim whose holder is gone, unless another process is doing so; return whether the claim is taken."""
    guard = path.with_name(f"{path.name}.takeover")
    try:
        os.close(_write(guard, owner))
    except FileExistsError:
        found = _ExistingClaim.at(guard)
        if found is not None and not found.is_alive(owner, draft):
            guard.unlink(missing_ok=True)
        return False
    try:
        held = _ExistingClaim.at(path)  # read again: another process may have been faster
        if held is not None and held.is_alive(owner, draft):
            return False
        draft.replace(path)
        return True
    finally:
        guard.unlink(missing_ok=True)


@dataclass(frozen=True)
class _ExistingClaim:
    """A claim that exists already."""

    path: Path
    owner: Owner | None  # None: unreadable
    modified: float

    @classmethod
    def at(cls, path: Path) -> _ExistingClaim | None:
        """Return the claim at `path`, None if it is gone.

        Raises:
            UserError: something other than a claim is at `path`.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        except FileNotFoundError:
            return None
        except OSError as err:
            if err.errno != errno.ELOOP:
                raise
            raise UserError(f"{path}: is a symbolic link, not a claim of this program; remove it") from err
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{path}: is not a regular file, so not a claim of this program; remove it")
            return cls(path, _parse(os.read(descriptor, 65536)), status.st_mtime)
        finally:
            os.close(descriptor)

    def is_alive(self, owner: Owner, draft: Path) -> bool:
        """Return whether `owner` must assume that the holder is alive; touching its draft gives the server's time."""
        if self.owner is None:
            return self._is_fresh(draft)
        if owner.shares_pid_namespace(self.owner):
            process = self.owner.process
            return process not in (owner.process, "") and process_identity(self.owner.pid) == process
        if is_locked(self.path):
            return True
        if self.owner.locked and owner.machine == self.owner.machine != "":
            return False
        return self._is_fresh(draft)

    def _is_fresh(self, draft: Path) -> bool:
        os.utime(draft)
        return draft.stat().st_mtime - self.modified <= STALE_SECONDS


def _parse(data: bytes) -> Owner | None:
    try:
        found = json.loads(data)
        owner = Owner(**{field.name: found[field.name] for field in fields(Owner)})
    except (ValueError, TypeError, KeyError):
        return None
    return owner if isinstance(owner.pid, int) and owner.pid > 0 else None
