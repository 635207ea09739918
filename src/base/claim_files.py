"""The file of a claim: who holds it, whether that one still lives, and taking it so that one process alone gets it."""

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
from src.base.living import identity
from src.base.locks import TAKING_SECONDS, alone_in, is_locked, lock

STALE_SECONDS = 300.0  # without a sign of life
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC


class InUseError(UserError):
    """Another process holds a claim.

    Args:
        target: what is claimed.
        owner: who holds the claim, if it can be read.
        option: what to change.
    """

    def __init__(self, target: Path, owner: Owner | None, option: str) -> None:
        who = f"another {owner.what} (host {owner.host}, process {owner.pid}, since {owner.since})" if owner else ""
        self.reason = f"{target} is in use by {who or 'another process'}"
        super().__init__(f"{self.reason}; take another {option}")


@dataclass(frozen=True)
class Owner:
    """Who holds a claim.

    Attributes:
        what: what the process does.
        option: what another process has to change.
        host: name of the machine.
        machine: what tells it from others of the same name, until it starts anew.
        space: which numbers of processes it sees; containers have their own.
        pid: the process.
        process: what tells it from an earlier one of that number.
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
        """Return what there is to say of this process."""
        machine = space = ""
        with contextlib.suppress(OSError):
            machine = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
            space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        return cls(what, option, platform.node(), machine, space, os.getpid(), identity(os.getpid()), now)

    def sees(self, other: Owner) -> bool:
        """Return whether the processes of this one and the other are numbered alike: same machine, same container."""
        return bool(self.machine) and (self.host, self.machine, self.space) == (other.host, other.machine, other.space)

    def is_in(self, other: Owner | None) -> bool:
        """Return whether a claim is this owner's."""
        names = ("machine", "space", "process", "since")
        return other is not None and all(getattr(self, name) == getattr(other, name) for name in names)


def put(path: Path, target: Path, owner: Owner) -> int:
    """Make the claim `path` for `target`; return its open descriptor, which holds the lock.

    Raises:
        InUseError: a living process holds it.
        OSError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = _write(draft, owner)
    try:
        with alone_in(path.parent):
            _put(draft, path, target, owner)
        if not os.path.samestat(path.stat(), os.fstat(descriptor)):  # without hard links it is another file
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
    if not owner.is_in(found):
        os.close(descriptor)
        raise InUseError(target, found, owner.option)
    lock(descriptor)
    return descriptor


def _remove_drafts(path: Path, descriptor: int) -> None:
    """Remove what is left of processes that were killed while they made this claim."""
    for draft in path.parent.glob(f"{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError):
            status, now = draft.lstat(), os.fstat(descriptor).st_mtime
            is_draft = re.fullmatch(r"[0-9a-f]{16}", draft.name.rpartition(".")[2]) and stat.S_ISREG(status.st_mode)
            if is_draft and now - status.st_mtime > STALE_SECONDS:
                draft.unlink()


def is_held(path: Path, descriptor: int, owner: Owner) -> bool:
    """Return whether the claim at `path` is the owner's, which has it open.

    Opening it asks the server of a network file system anew; some number a file anew each time, then its content tells.
    """
    try:
        other = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as err:
        return err.errno not in (errno.ELOOP, errno.ESTALE)  # else it is not known, so nothing has changed
    try:
        return os.path.sameopenfile(other, descriptor) or owner.is_in(_parse(os.read(other, 65536)))
    except OSError:
        return False  # a folder
    finally:
        os.close(other)


def _write(path: Path, owner: Owner) -> int:
    """Write a new file that tells the owner; return its descriptor, which locks it if that is possible."""
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
    """Send what was written to the server of a network file system, or to the disk; some cannot be asked to."""
    try:
        os.fsync(descriptor)
    except OSError as err:
        if err.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _put(draft: Path, path: Path, target: Path, owner: Owner) -> None:
    """Give the draft the name of the claim, if that is free or can be taken over."""
    end = time.monotonic() + TAKING_SECONDS
    while True:
        if _appear(draft, path, owner):
            return
        held = _Found.at(path)
        if held is None:
            continue
        if held.lives(owner, draft):
            raise InUseError(target, held.owner, owner.option)
        if _take_over(draft, path, owner):
            return
        if time.monotonic() > end:
            raise InUseError(target, held.owner, owner.option)
        time.sleep(0.02)


def _appear(draft: Path, path: Path, owner: Owner) -> bool:
    """Make the claim if there is none; return whether it is the owner's now."""
    try:
        os.link(draft, path)
    except FileExistsError:
        try:
            return path.samefile(draft)  # where the answer was lost on the way, and asked for again
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
    """Put the draft in the place of a claim whose holder is gone, unless another process is just doing that."""
    guard = path.with_name(f"{path.name}.takeover")
    try:
        os.close(_write(guard, owner))
    except FileExistsError:
        found = _Found.at(guard)
        if found is not None and not found.lives(owner, draft):
            guard.unlink(missing_ok=True)
        return False
    try:
        held = _Found.at(path)  # anew: another one may have been faster
        if held is not None and held.lives(owner, draft):
            return False
        draft.replace(path)
        return True
    finally:
        guard.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Found:
    """A claim that is there already."""

    path: Path
    owner: Owner | None  # None: it cannot be read
    modified: float

    @classmethod
    def at(cls, path: Path) -> _Found | None:
        """Return the claim at `path`, None if it has gone.

        Raises:
            UserError: what is there is no claim.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        except FileNotFoundError:
            return None
        except OSError as err:
            if err.errno != errno.ELOOP:
                raise
            raise UserError(f"{path}: is a symbolic link, no claim of this program; remove it") from err
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{path}: is no file, so no claim of this program; remove it")
            return cls(path, _parse(os.read(descriptor, 65536)), status.st_mtime)
        finally:
            os.close(descriptor)

    def lives(self, owner: Owner, draft: Path) -> bool:
        """Return whether the holder has to be taken for alive by `owner`, whose draft tells the time."""
        if self.owner is None:
            return self._fresh(draft)
        if owner.sees(self.owner):
            return self.owner.process not in (owner.process, "") and identity(self.owner.pid) == self.owner.process
        if is_locked(self.path):
            return True
        if self.owner.locked and owner.machine == self.owner.machine != "":
            return False
        return self._fresh(draft)

    def _fresh(self, draft: Path) -> bool:
        os.utime(draft)
        return draft.stat().st_mtime - self.modified <= STALE_SECONDS


def _parse(data: bytes) -> Owner | None:
    try:
        found = json.loads(data)
        owner = Owner(**{field.name: found[field.name] for field in fields(Owner)})
    except (ValueError, TypeError, KeyError):
        return None
    return owner if isinstance(owner.pid, int) and owner.pid > 0 else None
