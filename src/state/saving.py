"""Writing the next checkpoint of a run and removing its oldest ones."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import numpy as np

from src.base.errors import CheckpointError
from src.state.checkpoint import write_atomically
from src.state.checkpoint_names import list_checkpoints

logger = logging.getLogger(__name__)


def save_and_prune(parameters: dict[str, np.ndarray], path: Path, keep_max: int) -> None:
    """Write a checkpoint and remove the oldest numbered ones of its folder beyond `keep_max`.

    If writing fails, e.g. on a full disk, the checkpoints that the new one would replace are removed before a second
    attempt; at least one checkpoint always remains.

    Raises:
        CheckpointError: the checkpoint cannot be written; the previous newest one remains.
    """
    try:
        write_atomically(parameters, path)
    except CheckpointError as err:
        if getattr(err.__cause__, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
            raise
        others = [old for _, old in list_checkpoints(path.parent) if old != path]
        if not _remove(others[: 1 - keep_max or None][: len(others) - 1]):
            raise
        logger.warning("%s; the oldest checkpoint made room for another try", err)
        write_atomically(parameters, path)
    logger.info("checkpoint: %s", path)
    _remove([old for _, old in list_checkpoints(path.parent)][:-keep_max])


def _remove(paths: list[Path]) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)
