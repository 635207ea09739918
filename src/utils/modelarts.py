"""A run as a ModelArts job: fetch its input before it starts and upload its results.

URLs that begin with ``obs://`` or ``s3://`` go through `moxing`; any other is a path that the platform has mounted and
is used in place. Does not import MindSpore: the input is fetched before the ranks connect.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.base.errors import ConfigError, TerminatedError
from src.base.files import make_folder
from src.cloud.fetch import Fetch
from src.cloud.mirror import Mirror
from src.cloud.object_store import ObjectStore, is_remote, within
from src.cloud.once_per_host import once_per_host, publish_state, wait_for_upload
from src.config import schema
from src.config.schema_base import EVAL, EXPORT, TRAIN
from src.utils.entry import add_exit_hook
from src.utils.local_adapter import discover_rank, expect_slow_start, job_identity, scratch_folder
from src.utils.logger import setup_logging

logger = logging.getLogger(__name__)

# The key that `checkpoint_url` replaces in each script.
CHECKPOINT_KEYS = {TRAIN: "finetune_ckpt", EVAL: "checkpoint_path", EXPORT: "checkpoint_file"}


@dataclass
class _Upload:
    """Destination of this process's results, and the mirror that uploads them, once started."""

    folder: Path
    url: str
    seconds: float
    meeting: Path  # folder through which the processes of this host synchronise
    mirror: Mirror | None = None


_upload: _Upload | None = None


def begin(config: schema.Config, script: str) -> schema.Config:
    """Fetch the input that the job's URLs name, and return the configuration with the paths of the copies.

    Raises:
        UserError: something is missing, cannot be fetched or would be overwritten; raised on all ranks of the host.
    """
    global _upload
    _refuse_contradictions(config, script)
    placement = discover_rank()
    setup_logging(None, placement.rank)
    signal.signal(signal.SIGTERM, _terminate)
    add_exit_hook(finish)
    expect_slow_start()
    urls = (config.data_url, config.train_url, config.checkpoint_url)
    key = hashlib.sha256(repr((job_identity(), script, urls)).encode()).hexdigest()[:12]
    fetch = Fetch(config, script, scratch_folder() / f"bisenetv2-{key}")
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
    """Return `config` with the fetched paths in `found` (key of the URL to path) set where the script reads them."""
    changes: dict[str, Any] = {}
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


def watch(local_rank: int, rank_0_is_here: bool) -> None:
    """Start uploading the results as they appear, in the first process of each host.

    Args:
        local_rank: number of this process on its host.
        rank_0_is_here: whether the process that writes the results runs on this host.
    """
    if _upload is not None and local_rank == 0:
        make_folder(_upload.folder)
        _upload.mirror = Mirror(ObjectStore(_upload.url), _upload.folder, _upload.url, leads=rank_0_is_here)
        _upload.mirror.start()


def finish(code: int) -> int:
    """Upload the remaining results, in the process that uploads; return `code`, or 2 if results did not arrive.

    The other processes of the host wait for it before they exit with an error, on which a launcher would kill it.
    """
    if _upload is None:
        return code
    signal.signal(signal.SIGTERM, lambda number, frame: logger.info("signal %d: the upload has begun already", number))
    if _upload.mirror is None:
        if code:
            wait_for_upload(_upload.meeting, _upload.seconds)
        return code
    logger.info("uploading the results to %s", _upload.url)
    publish_state(_upload.meeting, "uploading")
    problem = _upload.mirror.finish(_upload.seconds)
    publish_state(_upload.meeting, "uploaded")
    if problem:
        logger.error("%s", problem)
        return code or 2
    return code
