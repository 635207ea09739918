"""The averaged weights in a checkpoint: entries ``ema.*`` beside the weights themselves."""

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
UPDATES = "train_state.ema_updates"  # updates that the average is over


def choose_weights(values: Tensors, weights: str, path: str | Path) -> Tensors:
    """Return the tensors of a checkpoint with the weights asked for under the network's names, and log which.

    Args:
        values: of the checkpoint.
        weights: "model" or "ema".
        path: of the checkpoint.

    Raises:
        CheckpointError: it holds no averaged weights.
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
    """Put the averaged weights of a train cell, statistics included, into a network of the same names."""
    averages = {p.name: p for p in train_cell.get_parameters() if p.name.startswith(PREFIX)}
    for p in network.get_parameters():
        p.set_data(Tensor(averages[PREFIX + p.name].asnumpy(), p.dtype))


def without_new_average(
    parameters: Iterable[Parameter], values: dict[str, np.ndarray], path: str | Path
) -> list[Parameter]:
    """Return those of the train cell's parameters that a checkpoint has to fill: no average where it holds none."""
    parameters = list(parameters)
    kept = [p for p in parameters if not p.name.startswith(PREFIX) and p.name != UPDATES]
    if UPDATES in values or len(kept) == len(parameters):
        return parameters
    logger.info("%s: holds no averaged weights; the average begins here", path)
    return kept
