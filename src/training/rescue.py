"""Save what was trained so far when a training fails between two steps."""

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
def saving_on_failure(state: TrainState, saver: CheckpointSaver, save_dir: Path) -> Iterator[None]:
    """Save a checkpoint of the finished steps if the block fails because of its data or a file, and say how to resume.

    With several ranks nothing is saved, because the others are at another step; nor are unusable weights
    (`TrainingError`).

    Args:
        state: progress of the run.
        saver: writes the checkpoints.
        save_dir: folder of the run.

    Raises:
        UserError: the failure, with the checkpoint to resume from.
    """
    try:
        yield
    except TrainingError:
        raise
    except (UserError, OSError) as err:
        explanation = describe_failure(err)
        if explanation is None:
            raise
        if state.communicator.rank_size == 1:
            _save(state, saver)
        kind = type(err) if isinstance(err, UserError) else UserError
        raise kind(f"{explanation[1]}; {resume_advice(save_dir, state.step)}") from err


def _save(state: TrainState, saver: CheckpointSaver) -> None:
    """Write a checkpoint unless there is one of this step, or no step was finished; log a failure to do so."""
    try:
        # Within a data sink the device is ahead of the step that the callbacks know.
        state.step = int(saver.train_cell.optimizer.global_step.asnumpy().item())
        if saver.saved_step != state.step and state.step > state.first_step:
            saver.save()
    except (CheckpointError, OSError, RuntimeError) as err:
        logger.warning("%s", err)


def resume_advice(save_dir: Path, step: int) -> str:
    """Return how to resume a run that ended after `step` steps, as text."""
    saved = list_checkpoints(save_dir / FOLDER)
    if not saved:
        return "no checkpoint was written" if step else "no step was finished, nothing was saved"
    where = "" if saved[-1][0] == step else f" (of step {saved[-1][0]})"
    return f"resume with the same options and --resume_ckpt {shlex.quote(str(saved[-1][1]))}{where}"
