"""From the configuration's transform sections to transform objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from src.base.errors import ConfigError
from src.config import schema
from src.data.transforms.common import Normalize, RandomColor, RandomFlip, TransposeImage
from src.data.transforms.resize import RandomResizeCrop, Resize

Transform = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple]
TRANSFORMS = {
    cls.__name__: cls for cls in (Normalize, RandomColor, RandomFlip, RandomResizeCrop, Resize, TransposeImage)
}


class Compose:
    """Call `transforms` one after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def __call__(
        self, image: np.ndarray, label: np.ndarray | None, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        for transform in self.transforms:
            image, label = transform(image, label, rng)
        return image, label


def create_transform(args: schema.TransformArgs, ignore_label: int) -> Transform:
    """Build one transform from its section; `ignore_label` fills in where the section leaves it open."""
    name = type(args).__name__
    if name not in TRANSFORMS:
        raise ConfigError(f"unknown transform {name!r}; known: {', '.join(sorted(TRANSFORMS))}")
    values = {field.name: getattr(args, field.name) for field in dataclasses.fields(args)}
    if "ignore_label" in values and values["ignore_label"] is None:
        values["ignore_label"] = ignore_label
    return TRANSFORMS[name](**values)


def create_transforms(sections: Sequence[schema.TransformArgs], ignore_label: int) -> Compose:
    """Build a list of transforms that are applied in the order of the configuration."""
    return Compose([create_transform(args, ignore_label) for args in sections])
