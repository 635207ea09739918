"""The settings of a check and its result."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """What to check, and at which sizes.

    Attributes:
        device_target: "CPU" or "Ascend".
        device_id: number of the device.
        folder: folder for the files of the checks.
        ranks: processes of check 12; 0 skips it.
        half: whether convolutions compute in float16 whatever is configured.
        tensor_float: whether float32 convolutions round their inputs (HF32).
        crop: height and width of the batches of steps and speed, multiples of 32.
        options: ``section.key=value`` for all networks and runs.
    """

    device_target: str
    device_id: int
    folder: Path
    ranks: int = 0
    half: bool = False
    tensor_float: bool = False
    crop: tuple[int, int] = (64, 64)
    options: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Return the settings in a JSON object of their fields, the folder as text."""
        values = json.loads(text)
        lists = {name: tuple(values[name]) for name in ("crop", "options")}
        return cls(**{**values, **lists, "folder": Path(values["folder"])})

    def bound(self, *, float32: float, hf32: float, float16: float) -> float:
        """Return the bound for the precision of the device's convolutions."""
        return float16 if self.half else hf32 if self.tensor_float else float32


@dataclass(frozen=True)
class Result:
    """Result of a check: `figure` must not exceed `bound`."""

    figure: float
    bound: float
    oracle: str
    advice: str
    details: dict = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Return whether the figure is within the bound; NaN is not."""
        return bool(self.figure <= self.bound)


def attempt(function: Callable[[], float]) -> float:
    """Return the result of `function`; if MindSpore cannot compute it here, log a traceback and return infinity."""
    try:
        return function()
    except (RuntimeError, TypeError, ValueError):
        logger.exception("cannot be computed here")
        return math.inf


def nearest_to_bound(parts: Mapping[str, tuple[float, float]]) -> float:
    """Return the largest ratio of a figure to its bound, which is above 1 if one exceeds it; nan counts as infinite.

    Args:
        parts: figure and positive bound by name.
    """
    shares = [figure / bound for figure, bound in parts.values()]
    return max(math.inf if math.isnan(share) else share for share in shares)
