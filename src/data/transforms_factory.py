"""Composing the configured lists of transforms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from src.config.schema import Transform


class Compose:
    """Call `transforms` one after the other."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = tuple(transforms)

    def __call__(
        self, image: np.ndarray, label: np.ndarray | None, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        for transform in self.transforms:
            image, label = transform(image, label, rng)
        return image, label


def create_transforms(transforms: Sequence[Transform], ignore_label: int) -> Compose:
    """Return the composed transforms, in order; `ignore_label` replaces None in transforms with such a field."""
    return Compose([_with_ignore_label(transform, ignore_label) for transform in transforms])


def _with_ignore_label(transform: Any, ignore_label: int) -> Transform:
    if getattr(transform, "ignore_label", ignore_label) is None:
        return dataclasses.replace(transform, ignore_label=ignore_label)
    return transform
