"""A run as a ModelArts job: its input fetched before it starts, its results brought to where the job finds them.

URLs that begin with ``obs://`` or ``s3://`` go through `moxing`; any other is a path that the platform has mounted and
is used in place. Needs no MindSpore: all of it happens before the ranks of the job connect.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from src.base.errors import ConfigError, UserError
from src.cloud.archives import archives_in, is_archive, unpack
from src.cloud.mirror import Mirror
from src.cloud.object_store import ObjectStore, is_remote, join, within
from src.cloud.once_per_host import once_per_host, tell_others, wait_for_upload
from src.config import schema
from src.config.schema_base import EVAL, EXPORT, TRAIN
from src.state.checkpoint_names import exported_names, newest_name
from src.utils.local_adapter import discover_rank, expect_slow_start, job_identity, scratch_folder
from src.utils.logger import setup_logging
from src.utils.runtime import Runtime

logger = logging.getLogger(__name__)

# What `checkpoint_url` stands for in each script.
CHECKPOINT_KEYS = {TRAIN: "finetune_ckpt", EVAL: "checkpoint_path", EXPORT: "checkpoint_file"}
DATASET_MARKS = ("leftImg8bit", "train.lst", "val.lst", "test.lst")
# Of an earlier run of the job: what this one continues, or would otherwise overwrite.
EARLIER = {TRAIN: ("checkpoints", "logs", ".jsonl", ".yml"), EVAL: ("logs", ".yml"), EXPORT: ("logs", ".yml")}


@dataclass
class _Upload:
    """Where this process's results have to go, and what takes them there once it has begun."""

    folder: Path
    url: str
    seconds: float
    meeting: Path  # where the processes of this host tell each other how far they are
    mirror: Mirror | None = None


_upload: _Upload | None = None


class TerminatedError(BaseException):
    """SIGTERM, outside of the training loop, which has its own way to stop."""


def begin(config: schema.Config, script: str) -> schema.Config:
    """Fetch what the job's URLs name, and return the configuration that names the copies; without a job, as it is.

    Raises:
        UserError: something is missing, cannot be fetched, or would be overwritten; on all ranks of the host.
    """
    global _upload
    if not config.modelarts:
        return config
    _refuse_contradictions(config, script)
    placement = discover_rank()
    setup_logging(None, placement.rank)
    signal.signal(signal.SIGTERM, _terminate)
    expect_slow_start()
    urls = (config.data_url, config.train_url, config.checkpoint_url)
    key = hashlib.sha256(repr((job_identity(), script, urls)).encode()).hexdigest()[:12]
    fetch = _Fetch(config, script, scratch_folder() / f"bisenetv2-{key}")
    limit = config.transfer_timeout
    found = once_per_host(
        fetch.scratch, placement.local_place, lambda: within(limit, "the input of the job", fetch.everything), limit
    )
    for name, value in found.items():
        logger.info("%s: %s", name, value)
    if config.train_url is None:
        logger.warning("no --train_url: the results stay on this machine, which the platform takes away with the job")
    elif is_remote(config.train_url):
        _upload = _Upload(Path(found["train_url"]), config.train_url, limit, fetch.scratch)
    return _configured(config, script, found)


def _terminate(number: int, frame: object) -> None:
    raise TerminatedError(f"stopped by signal {number}")


def _refuse_contradictions(config: schema.Config, script: str) -> None:
    name = CHECKPOINT_KEYS[script]
    if config.checkpoint_url and config.resume_ckpt:
        raise ConfigError("--checkpoint_url excludes --resume_ckpt: start anew from one, or continue the other")
    if config.checkpoint_url and getattr(config, name):
        raise ConfigError(f"--checkpoint_url stands for --{name}: give one of them")
    if config.train_url and config.save_dir:
        raise ConfigError("--train_url stands for --save_dir: give one of them")


def _configured(config: schema.Config, script: str, found: dict[str, str]) -> schema.Config:
    """Put the folders and files in `found`, by the name of their URL, where the script looks for them."""
    changes: dict[str, object] = {}
    if "data_url" in found:
        changes["data"] = dataclasses.replace(config.data, dataset_dir=found["data_url"])
    if "checkpoint_url" in found:
        changes[CHECKPOINT_KEYS[script]] = found["checkpoint_url"]
    if "train_url" in found:
        folder = Path(found["train_url"])
        changes["save_dir"] = str(folder)
        if script == EXPORT:
            changes["file_name"] = str(folder / config.file_name)
        if config.save_predictions:
            changes["save_predictions"] = str(folder / config.save_predictions)
    return dataclasses.replace(config, **changes)


def watch(runtime: Runtime, rank_0_is_here: bool) -> None:
    """Begin to upload the results as they appear; the first process of each host does.

    Args:
        runtime: which process this is.
        rank_0_is_here: whether the process that writes the results runs on this host.
    """
    if _upload is not None and runtime.local_rank == 0:
        _upload.folder.mkdir(parents=True, exist_ok=True)
        _upload.mirror = Mirror(ObjectStore(_upload.url), _upload.folder, _upload.url, leads=rank_0_is_here)
        _upload.mirror.start()


def finish(code: int) -> int:
    """Upload everything, if this process has to; return the exit code: `code`, or 2 if results did not arrive.

    The others of its host wait for it before they end with an error: a launcher would end it with them.
    """
    if _upload is None:
        return code
    signal.signal(signal.SIGTERM, lambda number, frame: logger.info("signal %d: the upload has begun already", number))
    if _upload.mirror is None:
        if code:
            wait_for_upload(_upload.meeting, _upload.seconds)
        return code
    logger.info("uploading the results to %s", _upload.url)
    tell_others(_upload.meeting, "uploading")
    problem = _upload.mirror.finish(_upload.seconds)
    tell_others(_upload.meeting, "uploaded")
    if problem:
        logger.error("%s", problem)
        return code or 2
    return code


class _Fetch:
    """What the first process of a host fetches.

    Args:
        config: the configuration.
        script: the entry script.
        scratch: folder of this job on this host.
    """

    def __init__(self, config: schema.Config, script: str, scratch: Path) -> None:
        self.config, self.script, self.scratch = config, script, scratch

    def everything(self) -> dict[str, str]:
        """Return the local counterpart of every URL given, by its name."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        fetchers = {"data_url": self.data, "train_url": self.results, "checkpoint_url": self.checkpoint}
        if self.script == EXPORT:
            del fetchers["data_url"]  # needs no data; the platform's own arguments are the same for every job
        given = {name: url for name in fetchers if (url := getattr(self.config, name))}
        return {name: str(fetchers[name](url)) for name, url in given.items()}

    def _emptied(self, name: str) -> Path:
        """Return a folder of the job's own, without what an earlier run had fetched into it."""
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
        """Return the checkpoint: the file, or the newest one of a folder or of the run in it."""
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
        if "checkpoints" in names and not any(name.endswith(".ckpt") for name in names):
            url = join(url, "checkpoints")
            names = store.names(url)
        name = newest_name(names, lambda name: store.modified(join(url, name)))
        if name is None:
            raise UserError(f"--checkpoint_url {url}: no *.ckpt there")
        return join(url, name)

    def results(self, url: str) -> Path:
        """Return the folder of the results, with what an earlier run of the same job has left at `url`."""
        if not is_remote(url):
            return Path(url)
        store, folder = ObjectStore(url), self.scratch / "output"
        if folder.exists() and any(folder.iterdir()):
            kept = folder.with_name(f"output-until-{time.strftime('%Y%m%d-%H%M%S')}")
            folder.rename(kept)
            logger.warning("results of an earlier run on this machine are in %s", kept)
        folder.mkdir(exist_ok=True)
        names = store.names(url) if store.exists(url) else []
        self._refuse_taken(store, url, names)
        for name in (name for name in names if name.endswith(EARLIER[self.script])):
            store.download(join(url, name), folder / name)
        return folder

    def _refuse_taken(self, store: ObjectStore, url: str, names: list[str]) -> None:
        """Refuse a URL where files that an evaluation or an export writes exist already."""
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
    """Return what holds a data set: `folder`, or the one folder right below it; None if nothing does.

    Raises:
        UserError: several do.
    """
    if not folder.is_dir():
        return None
    if any((folder / mark).exists() for mark in DATASET_MARKS):
        return folder
    found = sorted({path.parent for mark in DATASET_MARKS for path in folder.glob(f"*/{mark}")})
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"--data_url {url}: several data sets in it ({names}); name one of them")
    return found[0] if found else None


def _newest_checkpoint(path: Path) -> Path:
    """Return `path` if it is a file, else the newest checkpoint in it or in its ``checkpoints``."""
    if path.is_file():
        return path
    for folder in (path, path / "checkpoints"):
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        name = newest_name(names, lambda name, folder=folder: (folder / name).stat().st_mtime_ns)
        if name is not None:
            return folder / name
    raise UserError(f"--checkpoint_url {path}: no such file, and no folder with *.ckpt")
