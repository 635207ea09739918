"""Checkpoints: written atomically, and read with a check of every tensor."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn

from src.base.errors import CheckpointError, TrainingError, count_names, one_line
from src.base.file_kinds import CHECKPOINT, kind_of_file, misfit
from src.base.special_files import special_kind
from src.base.temporary import path_with_suffix, replacing
from src.distributed.communicator import Communicator
from src.state import soundness
from src.state.averages import PREFIX, choose_weights, copy_average, without_new_average  # noqa: F401 - likewise
from src.state.checkpoint_names import (  # noqa: F401 - one name for all that concerns checkpoints
    BEST_NAME,
    FOLDER,
    checkpoint_name,
    list_checkpoints,
    step_of,
)
from src.state.checkpoint_origin import ORIGIN, Origin, Tensors, pop_origin  # noqa: F401 - likewise
from src.state.mindspore_log import filter_redundant_errors

logger = logging.getLogger(__name__)
filter_redundant_errors()

STATE_PREFIX = "train_state."
BACKBONE, HEAD = ("detail.", "segment."), "head."  # prefixes of BiSeNetV2's weights
DYNAMIC_SCALE = STATE_PREFIX + "dynamic_scale"  # whether the run had a dynamic loss scale
LOSS_SCALE, GOOD_STEPS = STATE_PREFIX + "loss_scale", STATE_PREFIX + "good_steps"
ACCUMULATION = "accumulation."  # gradient sums of several passes: zero whenever a checkpoint is written
MOMENTUM_PREFIXES = ("moments.", "accum.", "stat.", "adam_m.", "adam_v.")  # of nn.Momentum, nn.SGD and `AdamW`
OPTIMIZER_NAMES = ("global_step", "learning_rate", "momentum", "adam_steps")
RECREATED = ("learning_rate", ACCUMULATION)  # name prefixes: recreated whenever a run starts or resumes


@dataclass(frozen=True)
class RunInfo:
    """Facts about the run that wrote a checkpoint, which a resumed run must match or is warned about."""

    step: int
    total_step: int
    total_batch: int
    seed: int
    origin: Origin | None = None  # written, not read


def write_atomically(parameters: dict[str, np.ndarray], path: Path) -> None:
    """Write a checkpoint; it never appears incomplete under its name.

    Raises:
        CheckpointError: it cannot be written, or its name does not end in .ckpt; nothing is left behind.
    """
    if path.suffix != ".ckpt":  # MindSpore would add it, and write to another file
        raise CheckpointError(f"{path}: the name of a checkpoint ends in .ckpt")
    if kind := special_kind(path):
        raise CheckpointError(f"{path}: is {kind}, which a checkpoint cannot replace; give another name")
    tensors = [{"name": name, "data": Tensor(value)} for name, value in parameters.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            ms.save_checkpoint(tensors, str(temporary))
            temporary.chmod(0o644)  # MindSpore makes it readable by its owner only
            soundness.append_checksum(temporary)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
    except (OSError, RuntimeError, ValueError) as err:
        raise CheckpointError(f"cannot write checkpoint {path}: {one_line(err)}") from err


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a checkpoint; it never appears incomplete under its new name.

    Raises:
        CheckpointError: it cannot be copied; nothing is left behind.
    """
    try:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as err:
        raise CheckpointError(f"cannot write checkpoint {target}: {err.strerror}") from err


def require_intact(path: str | Path) -> None:
    """Raise a CheckpointError unless the file exists and matches its checksum; to be called before other work."""
    if Path(path).is_dir():
        raise CheckpointError(
            f"{path}: is a folder, not a checkpoint; name a file in it, {BEST_NAME} or another *.ckpt"
        )
    if not Path(path).is_file():
        special = special_kind(path)
        raise CheckpointError(f"{path}: is {special}, not a checkpoint" if special else f"no such checkpoint: {path}")
    kind = kind_of_file(path)
    if kind is not None and kind != CHECKPOINT:
        raise CheckpointError(misfit(path, kind, "a checkpoint"))
    soundness.verify_checksum(path)


def read_checkpoint(path: str | Path) -> Tensors:
    """Return the tensors of a checkpoint, whatever the suffix of its file, with the origin that it records.

    Raises:
        CheckpointError: the file is missing, damaged or not a checkpoint.
    """
    require_intact(path)  # first: MindSpore may crash on a damaged file
    try:
        with path_with_suffix(path, ".ckpt") as name:
            tensors = Tensors((name, value.asnumpy()) for name, value in ms.load_checkpoint(str(name)).items())
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as err:
        raise CheckpointError(f"{path}: damaged, or not a MindSpore checkpoint") from err
    tensors.origin = pop_origin(tensors, path)
    return tensors


def training_parameters(train_cell: nn.Cell, info: RunInfo) -> dict[str, np.ndarray]:
    """Return everything a run needs to continue: weights, statistics, average, momentum, step, loss-scale state."""
    values = {p.name: p.asnumpy() for p in train_cell.get_parameters() if not p.name.startswith(RECREATED)}
    values[DYNAMIC_SCALE] = np.array([train_cell.dynamic], np.int32)
    for name in ("step", "total_step", "total_batch", "seed"):
        values[STATE_PREFIX + name] = np.array([getattr(info, name)], np.int64)
    return {**(info.origin.entry() if info.origin else {}), **values}


def average_statistics(statistics: Sequence[Parameter], communicator: Communicator) -> None:
    """Set the running statistics of every rank to their mean over all ranks."""
    values = [p.asnumpy() for p in statistics]
    mean = communicator.sum_floats(np.concatenate([value.ravel() for value in values])) / communicator.rank_size
    ends = np.cumsum([value.size for value in values])
    for p, value in zip(statistics, np.split(mean, ends[:-1])):
        _set(p, value.reshape(p.shape))


def check_equal_weights(parameters: Iterable[Parameter], communicator: Communicator, step: int) -> None:
    """Compare a digest of all saved parameters between the ranks, and log it.

    Raises:
        TrainingError: the ranks have different weights.
    """
    digest = hashlib.sha256()
    for p in parameters:
        digest.update(p.asnumpy().tobytes())
    logger.info("digest of the weights after step %d: %s", step, digest.hexdigest())
    own = int(digest.hexdigest()[:12], 16)
    digests = communicator.all_gather(own)
    if set(digests.tolist()) != {own}:
        raise TrainingError(
            f"step {step}: the ranks have different weights: {digests.tolist()}; resume the last checkpoint; a "
            "likely cause on Ascend is HCCL_OP_EXPANSION_MODE=AIV in the environment: unset it"
        )


def is_training_state(name: str) -> bool:
    """Return whether a checkpoint entry belongs to the training run rather than to the network."""
    return name.startswith((STATE_PREFIX, PREFIX, *MOMENTUM_PREFIXES)) or name in OPTIMIZER_NAMES


def read_run_info(values: dict[str, np.ndarray], path: str | Path) -> RunInfo:
    """Return what a checkpoint records about its run.

    Raises:
        CheckpointError: it holds weights only.
    """
    try:
        numbers = {name: int(values[STATE_PREFIX + name][0]) for name in ("step", "total_step", "total_batch", "seed")}
    except KeyError as err:
        raise CheckpointError(
            f"{path}: holds no training state to resume from; --finetune_ckpt takes its weights"
        ) from err
    return RunInfo(numbers["step"], numbers["total_step"], numbers["total_batch"], numbers["seed"])


def newest_complete(folder: Path) -> Path | None:
    """Return the newest numbered checkpoint that a run can resume from; newer, incomplete ones are renamed.

    A process that is killed while it copies a checkpoint to a mounted folder leaves an incomplete one.

    Raises:
        CheckpointError: there are checkpoints, but none is complete, or one cannot be read.
    """
    incomplete: list[tuple[Path, CheckpointError]] = []
    for _, path in reversed(list_checkpoints(folder)):
        try:
            read_run_info(read_checkpoint(path), path)  # the entries that it needs are written last
        except CheckpointError as err:
            if isinstance(err.__cause__, OSError):
                raise
            incomplete.append((path, err))
        else:
            for other, reason in incomplete:
                _set_aside(other, reason)
            return path
    if incomplete:
        raise CheckpointError(f"{incomplete[0][1]}; none of the {len(incomplete)} checkpoints there can be resumed")
    return None


def _set_aside(path: Path, reason: CheckpointError) -> None:
    names = (f"{path.name}.incomplete{number}" for number in ("", *range(2, 1000)))
    aside = next(other for name in names if not (other := path.with_name(name)).exists())
    path.rename(aside)
    logger.warning("%s; renamed to %s", reason, aside.name)


def require_finite_weights(values: dict[str, np.ndarray], path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint that belong to the network.

    Raises:
        CheckpointError: a tensor is not finite.
    """
    weights = {name: value for name, value in values.items() if not is_training_state(name)}
    soundness.require_finite(weights, path)
    return weights


def restore_training(train_cell: nn.Cell, values: dict[str, np.ndarray], path: str | Path) -> None:
    """Load the complete state in a checkpoint into the train cell.

    The loss scale is restored only if it is dynamic in both runs; otherwise the configured one is kept.

    Raises:
        CheckpointError: a tensor is missing, has another shape or is not finite.
    """
    soundness.require_finite(values, path)
    left_out = set()
    if not train_cell.dynamic:
        left_out.add(LOSS_SCALE)
    elif not values.get(DYNAMIC_SCALE, [0])[0]:
        left_out |= {LOSS_SCALE, GOOD_STEPS}
    parameters = [p for p in train_cell.get_parameters() if not p.name.startswith(RECREATED) and p.name not in left_out]
    _fill(without_new_average(parameters, values, path), values, path)


def restore_network(network: nn.Cell, values: dict[str, np.ndarray], path: str | Path) -> None:
    """Load the weights and statistics of a checkpoint into `network`; other tensors of the checkpoint are ignored.

    Raises:
        CheckpointError: the checkpoint lacks a weight of the network or has it in another shape, or one is not finite.
    """
    require_finite_weights(values, path)
    _fill(network.get_parameters(), values, path)


def refuse_backbone(values: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Raise a CheckpointError for weights of BiSeNetV2 without a head, such as a backbone trained on ImageNet."""
    if any(name.startswith(BACKBONE) for name in values) and not any(name.startswith(HEAD) for name in values):
        raise CheckpointError(f"{path}: backbone only: for --finetune_ckpt; there is no head to predict with")


def _fill(parameters: Iterable[Parameter], values: dict[str, np.ndarray], path: str | Path) -> None:
    parameters = list(parameters)
    missing = [p.name for p in parameters if p.name not in values]
    if missing:
        raise CheckpointError(f"{path}: lacks {len(missing)} of {len(parameters)} tensors, e.g. {missing[0]}")
    for p in parameters:
        if values[p.name].shape != p.shape:
            raise CheckpointError(f"{path}: {p.name} has shape {values[p.name].shape}, the network needs {p.shape}")
    for p in parameters:
        _set(p, values[p.name])


def finetune_network(network: nn.Cell, values: dict[str, np.ndarray], path: str | Path) -> None:
    """Load those weights of a checkpoint that fit into `network`, and log the others.

    Raises:
        CheckpointError: no weight fits, or a weight is not finite.
    """
    weights = require_finite_weights(values, path)
    parameters = {p.name: p for p in network.get_parameters()}
    loaded = [name for name, p in parameters.items() if name in weights and weights[name].shape == p.shape]
    reshaped = [name for name, p in parameters.items() if name in weights and weights[name].shape != p.shape]
    missing = [name for name in parameters if name not in weights]
    unused = [name for name in weights if name not in parameters]
    if not loaded:
        raise CheckpointError(f"{path}: none of its {len(weights)} tensors fits the network")
    for name in loaded:
        _set(parameters[name], weights[name])
    logger.info("fine-tuning from %s: %d of %d tensors loaded", path, len(loaded), len(parameters))
    for label, names in (("skipped, other shape", reshaped), ("missing, initialised", missing), ("not used", unused)):
        if names:
            logger.info("%s: %s", label, count_names(names))


def _set(parameter: Parameter, value: np.ndarray) -> None:
    parameter.set_data(Tensor(value, parameter.dtype))
