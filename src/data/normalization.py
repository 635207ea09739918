"""Checking normalisations: whether mean and deviation fit the scale of the values, and whether two are equivalent."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from src.config import schema

logger = logging.getLogger(__name__)

TOLERANCE = 0.002  # of values / 255, half a grey level: 123.675 stands for 0.485 * 255
GREY_LEVELS = 255.0
KEYS = {"mean", "std", "is_scale"}


def scale_problems(mean: Sequence[float], std: Sequence[float], *, is_scale: bool) -> list[str]:
    """Return a problem if mean and standard deviation cannot be those of the values that they are applied to.

    Values in 0..1 cannot have a mean or deviation above 1. Values in 0..255 cannot have a deviation below 1, a grey
    level, or a mean above 0 and up to 1; mean (0, 0, 0) and deviation (1, 1, 1) are allowed, as they change nothing.

    Args:
        mean: mean of R, G and B.
        std: standard deviation of R, G and B.
        is_scale: whether values are divided by 255 first.
    """
    if is_scale:
        wrong = {"mean": max(map(abs, mean)) > 1, "std": max(std) > 1}
        what, change = "0..255, but is_scale True divides pictures by 255 first", "divide"
    else:
        wrong = {"mean": 0 < max(map(abs, mean)) <= 1, "std": max(std) < 1}
        what, change = "0..1, but without is_scale pictures have 0..255", "multiply"
    shown = [f"{name} {list(values)}" for name, values in (("mean", mean), ("std", std)) if wrong[name]]
    if not shown:
        return []
    advice = f"{change} it" if len(shown) == 1 else f"set is_scale {not is_scale}, or {change} them"
    verb = "is" if len(shown) == 1 else "are"
    return [f"is_scale: {' and '.join(shown)} {verb} of values {what}: {advice} by 255"]


def normalization_of(transforms: Iterable[object]) -> Any:
    """Return the Normalize in a list of item transforms, which always has one."""
    return next(transform for transform in transforms if type(transform).__name__ == "Normalize")


def denormalize(image: np.ndarray, normalize: Any) -> np.ndarray:
    """Undo a Normalize: (3, H, W) float32 to RGB (H, W, 3) uint8, each value the grey level it was made from."""
    settings = {"mean": normalize.mean, "std": normalize.std, "is_scale": normalize.is_scale}
    mean, std = GREY_LEVELS * _levels(settings)
    values = image.transpose(1, 2, 0) * std + mean  # to (H, W, 3)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _levels(settings: Mapping[str, Any]) -> np.ndarray:
    """Return mean and standard deviation, (2, 3), of values / 255."""
    return np.array([settings["mean"], settings["std"]], float) / (1.0 if settings["is_scale"] else GREY_LEVELS)


def same_normalization(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two Normalize transforms, given by their arguments, have the same effect on a picture."""
    if not (one.keys() >= KEYS and other.keys() >= KEYS):
        return False
    return bool(np.allclose(_levels(one), _levels(other), rtol=0, atol=TOLERANCE))


def likely_cause(used: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    """Return the likely reason why pictures are normalised differently from training."""
    if not trained.keys() >= KEYS:
        return "written by another program"
    ours, theirs = _levels(used), _levels(trained)
    for factor in (GREY_LEVELS, 1 / GREY_LEVELS):
        if np.allclose(ours * factor, theirs, rtol=0.02, atol=TOLERANCE):
            return "a factor of 255: is_scale is probably wrong"
    if np.allclose(ours[:, ::-1], theirs, rtol=0, atol=TOLERANCE):
        return "R and B are exchanged: mean and std are in the order R, G, B here"
    return "probably the configuration of another training"


def describe_difference(used: Mapping[str, Any], trained: Mapping[str, Any], where: str) -> str:
    """Return how the normalisation at the key `where` differs from that of a training, with likely cause and remedy."""
    if same_normalization(used, trained) or not trained.keys() >= KEYS:
        return ""
    shown = ", ".join(
        f"{name} {_show(used[name])} instead of {_show(trained[name])}" for name in _changed(used, trained)
    )
    keys = " ".join(f"{where}.{name}={_show(trained[name])}" for name in _changed(used, trained))
    return f"{shown} ({likely_cause(used, trained)}); give {keys}"


def _changed(used: Mapping[str, Any], trained: Mapping[str, Any]) -> list[str]:
    return [name for name in ("mean", "std", "is_scale") if _show(used[name]) != _show(trained[name])]


def _show(value: Any) -> str:
    return str(value) if isinstance(value, bool) else "[{}]".format(",".join(f"{number:g}" for number in value))


def warn_of_two_normalizations(data: schema.Data) -> None:
    """Warn if evaluation pictures are normalised differently from training pictures."""
    trained, used = (
        dataclasses.asdict(normalization_of(part.item_transforms))
        for part in (data.train_transforms, data.eval_transforms)
    )
    problem = describe_difference(used, trained, "data.eval_transforms.item_transforms.Normalize")
    if problem:
        logger.warning("evaluation normalises differently from training: %s", problem)
