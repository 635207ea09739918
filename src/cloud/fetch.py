"""Downloads by the first process of a host for a cloud job: data set, checkpoint, results of an earlier run."""

from __future__ import annotations

import logging
import shutil
import time
from functools import partial
from pathlib import Path

from src.base.errors import ConfigError, UserError
from src.base.files import make_folder
from src.cloud.archives import archives_in, is_archive, unpack
from src.cloud.object_store import ObjectStore, is_remote, join
from src.config import schema
from src.config.schema_base import EVAL, EXPORT, TRAIN
from src.state.checkpoint_names import FOLDER, exported_names, newest_name

logger = logging.getLogger(__name__)

DATASET_MARKS = ("leftImg8bit", "train.lst", "val.lst", "test.lst")
# Files of an earlier run of the job that this one continues or would otherwise overwrite.
EARLIER = {TRAIN: (FOLDER, "logs", ".jsonl", ".yml"), EVAL: ("logs", ".yml"), EXPORT: ("logs", ".yml")}


class Fetch:
    """Downloads of the first process of a host.

    Args:
        config: the configuration.
        script: the entry script.
        scratch: folder of this job on this host.
    """

    def __init__(self, config: schema.Config, script: str, scratch: Path) -> None:
        self.config, self.script, self.scratch = config, script, scratch

    def everything(self) -> dict[str, str]:
        """Fetch every given URL; return the local paths by the names of the options."""
        make_folder(self.scratch)
        fetchers = {"data_url": self.data, "train_url": self.results, "checkpoint_url": self.checkpoint}
        if self.script == EXPORT:
            del fetchers["data_url"]  # needs no data; the platform passes data_url to every job
        given = {name: url for name in fetchers if (url := getattr(self.config, name))}
        return {name: str(fetchers[name](url)) for name, url in given.items()}

    def _emptied(self, name: str) -> Path:
        """Return an empty folder of the job, without downloads of an earlier run."""
        folder = self.scratch / name
        if folder.exists():
            shutil.rmtree(folder)
        return folder

    def data(self, url: str) -> Path:
        """Return the root of the data set, unpacked if it comes as archives."""
        fetched, unpacked = Path(url), self._emptied("unpacked")
        if is_remote(url):
            store = ObjectStore(url)
            fetched = self._emptied("data")
            if store.exists(url) and not store.is_folder(url):
                fetched /= Path(url).name
            store.download(url, fetched)
        if not fetched.exists():
            raise UserError(f"--data_url {url}: no such file or folder")
        root = _dataset_root(fetched, url)
        archives = [fetched] if fetched.is_file() and is_archive(fetched) else []
        if root is None and fetched.is_dir():
            archives = archives_in(fetched)
        for archive in archives:
            unpack(archive, unpacked)
            if is_remote(url):
                archive.unlink()
        root = root or _dataset_root(unpacked, url)
        if root is None:
            raise UserError(
                f"--data_url {url}: none of {', '.join(DATASET_MARKS)} in it, one level below, or in an archive of it"
            )
        return root

    def checkpoint(self, url: str) -> Path:
        """Return the checkpoint: the file, or the newest one of a folder or of the run in that folder."""
        if not is_remote(url):
            return _newest_checkpoint(Path(url))
        store = ObjectStore(url)
        if not store.exists(url):
            raise UserError(f"--checkpoint_url {url}: nothing there")
        if store.is_folder(url):
            url = self._newest_in_store(store, url)
        path = self._emptied("checkpoint") / Path(url).name
        store.download(url, path)
        return path

    def _newest_in_store(self, store: ObjectStore, url: str) -> str:
        names = store.names(url)
        if FOLDER in names and not any(name.endswith(".ckpt") for name in names):
            url = join(url, FOLDER)
            names = store.names(url)
        name = newest_name(names, lambda name: store.modified(join(url, name)))
        if name is None:
            raise UserError(f"--checkpoint_url {url}: no *.ckpt there")
        return join(url, name)

    def results(self, url: str) -> Path:
        """Return the folder for the results, with those that an earlier run of the job left at `url`."""
        if not is_remote(url):
            return Path(url)
        store, folder = ObjectStore(url), self.scratch / "output"
        if folder.exists() and any(folder.iterdir()):
            kept = folder.with_name(f"output-until-{time.strftime('%Y%m%d-%H%M%S')}")
            folder.rename(kept)
            logger.warning("results of an earlier run on this machine are in %s", kept)
        make_folder(folder)
        names = store.names(url) if store.exists(url) else []
        self._require_unused(store, url, names)
        for name in (name for name in names if name.endswith(EARLIER[self.script])):
            store.download(join(url, name), folder / name)
        return folder

    def _require_unused(self, store: ObjectStore, url: str, names: list[str]) -> None:
        """Raise a ConfigError if files that an evaluation or an export would write exist at a URL."""
        if self.script == EVAL and "eval.json" in names:
            raise ConfigError(f"--train_url {url} holds an evaluation already; take another one")
        if self.script == EVAL and self.config.save_predictions:
            predictions = join(url, self.config.save_predictions)
            if store.exists(predictions) and store.names(predictions):
                raise ConfigError(f"--save_predictions: {predictions} is not empty; take an empty or a new folder")
        if self.script == EXPORT:
            for name in exported_names(self.config.file_name, self.config.file_format):
                if store.exists(join(url, name)):
                    raise ConfigError(f"{join(url, name)} exists already; take another --file_name or --train_url")


def _dataset_root(folder: Path, url: str) -> Path | None:
    """Return the folder that holds a data set: `folder` or a folder directly in it; None if there is none.

    Raises:
        UserError: several folders hold one.
    """
    if not folder.is_dir():
        return None
    if any((folder / mark).exists() for mark in DATASET_MARKS):
        return folder
    found = sorted({path.parent for mark in DATASET_MARKS for path in folder.glob(f"*/{mark}")})
    found = [path for path in found if not path.name.startswith(".")]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"--data_url {url}: several data sets in it ({names}); name one of them")
    return found[0] if found else None


def _modified(folder: Path, name: str) -> int:
    return (folder / name).stat().st_mtime_ns


def _newest_checkpoint(path: Path) -> Path:
    """Return `path` if it is a file, else the newest checkpoint in it or in its ``checkpoints``."""
    if path.is_file():
        return path
    for folder in (path, path / FOLDER):
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        name = newest_name(names, partial(_modified, folder))
        if name is not None:
            return folder / name
    raise UserError(f"--checkpoint_url {path}: no such file, and no folder with *.ckpt")
