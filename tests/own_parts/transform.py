"""A transform of one's own."""

from dataclasses import dataclass

import numpy as np

from src.config.schema import Transform
from src.config.schema_base import between, key


@dataclass(frozen=True)
class Negative(Transform):
    """Turn light into dark."""

    white: int = key(255, "grey level that becomes black", check=between(0, 255))

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return np.clip(self.white - image.astype(np.int16), 0, 255).astype(np.uint8), label
