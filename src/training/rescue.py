"""A training that fails between two steps: what was trained until then is saved first."""

from __future__ import annotations

import contextlib
import logging
import shlex
from collections.abc import Iterator
from pathlib import Path

from src.base.errors import CheckpointError, TrainingError, UserError
from src.base.failures import describe_failure
from src.state.checkpoint_names import FOLDER, list_checkpoints
from src.state.train_state import TrainState
from src.utils.callback import CheckpointSaver

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def saving_what_is_done(state: TrainState, saver: CheckpointSaver, save_dir: Path) -> Iterator[None]:
    """Save a checkpoint of the finished steps if the block fails by its data or by a file, and say how to go on.

    Of several ranks none saves, since the others are in another step. Weights that are no good (`TrainingError`) are
    not saved either.

    Args:
        state: how far the run is.
        saver: what writes the checkpoints.
        save_dir: folder of the run.

    Raises:
        UserError: the failure, with the checkpoint to resume from.
    """
    try:
        yield
    except TrainingError:
        raise
    except (UserError, OSError) as err:
        told = describe_failure(err)
        if told is None:
            raise
        if state.communicator.rank_size == 1:
            _save(state, saver)
        kind = type(err) if isinstance(err, UserError) else UserError
        raise kind(f"{told[1]}; {way_on(save_dir, state.step)}") from err


def _save(state: TrainState, saver: CheckpointSaver) -> None:
    """Write a checkpoint unless there is one of this step, or no step was done; a failure is a part of the log."""
    try:
        # Within a data sink the device is ahead of what the callbacks have seen.
        state.step = int(saver.train_cell.optimizer.global_step.asnumpy().item())
        if saver.saved_step != state.step and state.step > state.first_step:
            saver.save()
    except (CheckpointError, OSError, RuntimeError) as err:
        logger.warning("%s", err)


def way_on(save_dir: Path, step: int) -> str:
    """Say from which checkpoint a run that ended after `step` steps can go on."""
    saved = list_checkpoints(save_dir / FOLDER)
    if not saved:
        return "no checkpoint was written" if step else "no step was finished, nothing was saved"
    where = "" if saved[-1][0] == step else f" (of step {saved[-1][0]})"
    return f"resume with the same options and --resume_ckpt {shlex.quote(str(saved[-1][1]))}{where}"
