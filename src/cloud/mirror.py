"""Uploading a folder while it is written, without holding up those who write."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

from src.cloud.object_store import ObjectStore, join, within
from src.utils.errors import UserError

logger = logging.getLogger(__name__)

SCAN_SECONDS = 5.0
WARN_EVERY = 12  # failed scans between two warnings


class Mirror:
    """Uploads what changes in `folder` to `url` from a thread of its own.

    Args:
        store: where to.
        folder: what is mirrored; names that begin with a dot are files being written and left out.
        url: the folder's counterpart.
        leads: True for the host that writes the results. It uploads everything again at the end and removes what it has
            removed; another host uploads what it has changed, its logs, and nothing else.
    """

    def __init__(self, store: ObjectStore, folder: Path, url: str, *, leads: bool = True) -> None:
        self.store, self.folder, self.url, self.leads = store, folder, url, leads
        self._sent = self._stamps()  # what is there now came from there
        self._stop = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to watch the folder."""
        self._thread.start()

    def finish(self, seconds: float) -> str:
        """Upload for the last time, with several attempts and a time limit; return what went wrong, or nothing."""
        self._stop.set()
        try:
            count, size = within(seconds, f"upload to {self.url}", self._last_scan)
        except UserError as err:
            return f"{err}; the results are in {self.folder}"
        logger.info("uploaded to %s: %d files, %.1f MB", self.url, count, size / 1e6)
        return ""

    def _stamps(self) -> dict[str, tuple[int, int]]:
        """Return size and time of last change of every file, by its name relative to the folder."""
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
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # for the main thread alone
        while not self._stop.wait(SCAN_SECONDS):
            try:
                self.scan()
                self._failures = 0
            except Exception as err:  # noqa: BLE001 - tried again with the next scan, and told at the end
                if self._failures % WARN_EVERY == 0:
                    logger.warning(
                        "upload to %s: %s; it will be tried again", self.url, " ".join(str(err).split())[:200]
                    )
                self._failures += 1

    def scan(self) -> None:
        """Upload what is new or changed, once; raises what moxing raises."""
        stamps = self._stamps()
        for name in [name for name, stamp in stamps.items() if self._sent.get(name) != stamp]:
            if self._stop.is_set():
                return
            if (self.folder / name).exists():
                self.store.upload_once(self.folder / name, join(self.url, name))
                self._sent[name] = stamps[name]
        self._remove(stamps)

    def _remove(self, stamps: dict[str, tuple[int, int]]) -> None:
        for name in [name for name in self._sent if name not in stamps]:
            del self._sent[name]
            if not self.leads:
                continue
            try:
                self.store.remove(join(self.url, name))
            except UserError as err:  # one file too many is no loss
                logger.warning("%s", err)

    def _last_scan(self) -> tuple[int, int]:
        self._thread.join()
        stamps = self._stamps()
        names = [name for name in stamps if self.leads or self._sent.get(name) != stamps[name]]
        # A checkpoint is what a next run cannot do without: first of all.
        for name in sorted(names, key=lambda name: not name.endswith(".ckpt")):
            self.store.upload(self.folder / name, join(self.url, name))
        self._remove(stamps)
        return len(names), sum(stamps[name][0] for name in names)
