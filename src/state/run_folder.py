"""The folder for the results of a run, and whether the run resumes from what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from src.base import claims
from src.base.claim_files import InUseError
from src.base.errors import ConfigError
from src.config import schema
from src.state import checkpoint


def dated_folder(parent: str) -> Path:
    """Return an unused folder name below `parent` made of date and time."""
    base = Path(parent) / time.strftime("%Y%m%d-%H%M%S")
    candidates = [base, *(base.with_name(f"{base.name}-{number}") for number in range(2, 100))]
    return next(path for path in candidates if not path.exists())


def claim_training_folder(config: schema.Config) -> Path:
    """Return `training_folder`, claimed for this process; an automatically resuming run waits for the claim.

    Raises:
        InUseError: another process is training in the folder.
        UserError: see `training_folder`, or the folder cannot be written.
    """
    parts = (checkpoint.FOLDER, "logs")
    return claim_results_folder(config, training_folder, "training", parts=parts, wait=is_auto_resuming(config))


def claim_results_folder(
    config: schema.Config,
    choose: Callable[[schema.Config], Path],
    what: str,
    *,
    parts: Sequence[str],
    wait: bool = False,
) -> Path:
    """Return the folder that `choose` checks and returns, claimed for this process until it ends.

    Args:
        config: all settings.
        choose: checks and returns the folder; called again after claiming, as another process may have filled it.
        what: what this process does, for other processes' messages.
        parts: see `claims.hold_folder`.
        wait: see `claims.hold_folder`.

    Raises:
        InUseError: another process holds the folder.
        UserError: as `choose`, or the folder cannot be written.
    """
    while True:
        folder = choose(config)
        try:
            claims.hold_folder(folder, what, "--save_dir", parts=parts, wait=wait)
        except InUseError:
            if choose(config) == folder:
                raise
        else:
            choose(config)
            return folder


def training_folder(config: schema.Config) -> Path:
    """Return the folder of a training run: the configured one, that of the run to resume, or a new dated one.

    With `auto_resume` it may hold a run, which is continued.

    Raises:
        ConfigError: the folder holds another run already.
        CheckpointError: the checkpoint to start from does not exist or is damaged.
    """
    for path in filter(None, (config.resume_ckpt, config.finetune_ckpt)):
        checkpoint.require_intact(path)
    own_folder = None  # of the run to resume
    if config.resume_ckpt and Path(config.resume_ckpt).resolve().parent.name == checkpoint.FOLDER:
        own_folder = Path(config.resume_ckpt).resolve().parent.parent
    if config.save_dir is None:
        return own_folder or dated_folder("runs")
    save_dir = Path(config.save_dir)
    occupied = checkpoint.list_checkpoints(save_dir / checkpoint.FOLDER) or (save_dir / "metrics.jsonl").exists()
    if occupied and save_dir.resolve() != own_folder and not is_auto_resuming(config):
        raise ConfigError(f"{save_dir} holds a run already; continue it with --resume_ckpt, or take another --save_dir")
    return save_dir


def is_auto_resuming(config: schema.Config) -> bool:
    """Return whether a run resumes from the newest checkpoint in its own folder; cloud jobs do by default."""
    return config.modelarts if config.auto_resume is None else config.auto_resume
