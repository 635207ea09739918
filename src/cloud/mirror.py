"""Uploading a folder while it is being written, without delaying the writers."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

from src.base.errors import UserError, one_line
from src.cloud.object_store import ObjectStore, join, within
from src.state.checkpoint_names import step_of

logger = logging.getLogger(__name__)

SCAN_SECONDS = 5.0
WARN_EVERY = 12  # failed scans between two warnings


class Mirror:
    """Uploads changes in `folder` to `url` from a thread of its own.

    Args:
        store: the object store.
        folder: the mirrored folder; names that begin with a dot are files being written and left out.
        url: the remote counterpart of the folder.
        leads: True for the host that writes the checkpoints, which also removes remote files that it removed locally.

    Files present at the beginning came from `url` and are not uploaded unless they change here: another host of the job
    may have changed them there.
    """

    def __init__(self, store: ObjectStore, folder: Path, url: str, *, leads: bool = True) -> None:
        self.store, self.folder, self.url, self.leads = store, folder, url, leads
        self._first = self._stamps()
        self._sent = dict(self._first)
        self._place = folder.stat().st_ino
        self._stop = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start watching the folder."""
        self._thread.start()

    def finish(self, seconds: float) -> str:
        """Upload a last time, with several attempts and a time limit; return what went wrong, or ""."""
        self._stop.set()
        try:
            count, size = within(seconds, f"upload to {self.url}", self._last_scan)
        except UserError as err:
            return f"{err}; the results are in {self.folder}"
        logger.info("uploaded to %s: %d files, %.1f MB", self.url, count, size / 1e6)
        return ""

    def _stamps(self) -> dict[str, tuple[int, int]]:
        """Return size and modification time of every file, by its name relative to the folder."""
        stamps = {}
        for path in sorted(self.folder.rglob("*")):
            relative = path.relative_to(self.folder)
            try:
                if path.is_file() and not any(part.startswith(".") for part in relative.parts):
                    status = path.stat()
                    stamps[relative.as_posix()] = (status.st_size, status.st_mtime_ns)
            except OSError:  # removed meanwhile
                continue
        return stamps

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # the main thread gets them
        while not self._stop.wait(SCAN_SECONDS):
            try:
                self.scan()
                self._failures = 0
            except Exception as err:  # noqa: BLE001 - retried with the next scan, and reported at the end
                if self._failures % WARN_EVERY == 0:
                    logger.warning("upload to %s: %s; it will be tried again", self.url, one_line(err))
                self._failures += 1

    def scan(self) -> None:
        """Upload new and changed files once; a failure does not stop the others.

        Raises:
            UserError: uploads failed; with their number and the first reason.
        """
        stamps, failures = self._stamps(), []
        for name in [name for name, stamp in stamps.items() if self._sent.get(name) != stamp]:
            if self._stop.is_set():
                return
            try:
                if (self.folder / name).exists():
                    self.store.upload_once(self.folder / name, join(self.url, name))
                    self._sent[name] = stamps[name]
            except Exception as err:  # noqa: BLE001 - moxing raises whatever its transport raises
                failures.append(f"{name}: {one_line(err)}")
        self._remove(stamps)
        if failures:
            raise UserError(f"{len(failures)} files failed, {failures[0]}")

    def _remove(self, stamps: dict[str, tuple[int, int]]) -> None:
        if not self.folder.is_dir() or self.folder.stat().st_ino != self._place:
            return  # the whole folder was removed, which does not mean that its files should be
        for name in [name for name in self._sent if name not in stamps]:
            del self._sent[name]
            if not self.leads or step_of(Path(name).name) is None:
                continue
            try:
                self.store.remove(join(self.url, name))
            except UserError as err:  # a surplus remote file does no harm
                logger.warning("%s", err)

    def _last_scan(self) -> tuple[int, int]:
        self._thread.join()
        stamps, failures = self._stamps(), []
        names = [name for name in stamps if self._first.get(name) != stamps[name]]
        # Checkpoints first: a later run needs them most.
        for name in sorted(names, key=lambda name: not name.endswith(".ckpt")):
            try:
                self.store.upload(self.folder / name, join(self.url, name))
            except UserError as err:
                failures.append(str(err))
        self._remove(stamps)
        if failures:
            raise UserError(f"{len(failures)} of {len(names)} files were not uploaded: {'; '.join(failures[:5])}")
        return len(names), sum(stamps[name][0] for name in names)
