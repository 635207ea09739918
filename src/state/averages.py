"""The averaged weights in a checkpoint: entries ``ema.*`` beside the trained weights."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mindspore import Parameter, Tensor, nn

from src.base.errors import CheckpointError
from src.state.checkpoint_origin import Tensors

logger = logging.getLogger(__name__)

PREFIX = "ema."
UPDATES = "train_state.ema_updates"  # number of averaged updates


def choose_weights(values: Tensors, weights: str, path: str | Path) -> Tensors:
    """Return the tensors of a checkpoint with the requested weights under the network's names, and log which.

    Args:
        values: tensors of the checkpoint.
        weights: "model" or "ema".
        path: path of the checkpoint, for messages.

    Raises:
        CheckpointError: the checkpoint holds no averaged weights.
    """
    averaged = {name[len(PREFIX) :]: value for name, value in values.items() if name.startswith(PREFIX)}
    if weights == "ema":
        if not averaged:
            raise CheckpointError(f"{path}: holds no averaged weights (ema.*): trained without ema_decay")
        chosen = Tensors({name: value for name, value in values.items() if not name.startswith(PREFIX)} | averaged)
        chosen.origin = values.origin
        logger.info("weights: ema, the average")
        return chosen
    if averaged:
        logger.info("weights: model; the checkpoint holds their average, too, which training evaluates: --weights ema")
    return values


def copy_average(train_cell: nn.Cell, network: nn.Cell) -> None:
    """Copy the averaged weights of a train cell, statistics included, into a network with the same parameter names."""
    averages = {p.name: p for p in train_cell.get_parameters() if p.name.startswith(PREFIX)}
    for p in network.get_parameters():
        p.set_data(Tensor(averages[PREFIX + p.name].asnumpy(), p.dtype))


def without_new_average(
    parameters: Iterable[Parameter], values: dict[str, np.ndarray], path: str | Path
) -> list[Parameter]:
    """Return the train cell's parameters that a checkpoint must provide: not the averages if it holds none."""
    parameters = list(parameters)
    kept = [p for p in parameters if not p.name.startswith(PREFIX) and p.name != UPDATES]
    if UPDATES in values or len(kept) == len(parameters):
        return parameters
    logger.info("%s: holds no averaged weights; the average begins here", path)
    return kept
