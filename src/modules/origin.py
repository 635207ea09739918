"""The origin of a checkpoint: what it was trained with, stored in it and compared when it is loaded."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from src.base.errors import CheckpointError
from src.config import schema
from src.data.classes import class_problems, known_names
from src.data.normalization import describe_difference, normalization_of, warn_of_two_normalizations
from src.modules.factory import VARIANT, compare_variant
from src.state import checkpoint
from src.state.checkpoint_origin import Origin, Tensors

logger = logging.getLogger(__name__)


def origin_of(config: schema.Config) -> Origin:
    """Return the origin to store in a checkpoint trained with this configuration."""
    net_args = dataclasses.asdict(config.net_args)
    return Origin(
        net=config.net,
        variant={name: net_args[name] for name in VARIANT},
        num_classes=config.num_classes,
        class_names=known_names(config),
        normalize=dataclasses.asdict(normalization_of(config.data.train_transforms.item_transforms)),
    )


def compare_origin(
    config: schema.Config, values: Tensors, path: str | Path, *, training: bool = False, new_classes: bool = False
) -> None:
    """Compare the configuration with the origin of a checkpoint; warn if the normalisation differs.

    Older checkpoints have no origin.

    Args:
        config: the configuration that the weights are used with.
        values: the checkpoint.
        path: its file.
        training: whether training continues from the weights, so that the normalisation of training counts.
        new_classes: whether the classes may differ, as in fine-tuning.

    Raises:
        CheckpointError: network, variant or classes differ, or the weights have no head and are not for training.
    """
    if not training:
        checkpoint.refuse_backbone(values, path)
    origin = values.origin
    if origin is None:
        compare_variant(config, path)
        if not training:
            warn_of_two_normalizations(config.data)
        return
    problems = _variant_problems(origin, config)
    if not new_classes:
        problems += class_problems(config, origin.num_classes, origin.class_names)
    if problems:
        raise CheckpointError(f"{path}: {'; '.join(problems)}")
    part = "train_transforms" if training else "eval_transforms"
    used = dataclasses.asdict(normalization_of(getattr(config.data, part).item_transforms))
    if origin.normalize:
        text = describe_difference(used, origin.normalize, f"data.{part}.item_transforms.Normalize")
        if text:
            logger.warning("%s: its training normalised otherwise: %s", path, text)


def _variant_problems(origin: Origin, config: schema.Config) -> list[str]:
    if origin.net not in (None, config.net):
        return [f"weights of the network {origin.net}, not of {config.net}; give --net {origin.net}"]
    own, theirs = dataclasses.asdict(config.net_args), origin.variant or {}
    other = [f"net_args.{name}={theirs[name]}" for name in VARIANT if theirs.get(name, own[name]) != own[name]]
    return [f"weights of another variant of the network; give {' '.join(other)}"] if other else []
