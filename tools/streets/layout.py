"""Where things stand in a scene, and in which order they are painted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tools.streets.camera import Camera


@dataclass(frozen=True)
class Item:
    """Something that stands on the ground.

    Attributes:
        corners: (N, 2) u and s of its footprint in metres.
        height: metres, for its shadow.
        draw: paints it.
    """

    corners: np.ndarray
    height: float
    draw: Callable[[], None]


class Layout:
    """Collects items; those that are `place`d do not overlap."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._taken: list[np.ndarray] = []  # lower and upper corner (2, 2) of rectangles in u and s

    def add(self, item: Item) -> None:
        """Add an item whatever stands there."""
        self.items.append(item)

    def place(self, item: Item, margin: float = 0.25) -> bool:
        """Add an item if nothing else stands within `margin` metres; tell whether it was added."""
        low, high = item.corners.min(axis=0) - margin, item.corners.max(axis=0) + margin
        for other in self._taken:
            if (low < other[1]).all() and (high > other[0]).all():
                return False
        self._taken.append(np.array([low, high]))
        self.items.append(item)
        return True


def rectangle(u: float, s: float, width: float, length: float) -> np.ndarray:
    """Return the corners (4, 2) of an upright rectangle around u, s."""
    return np.array([u, s]) + np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * (width / 2, length / 2)


def visible(camera: Camera, u: float, s: float) -> bool:
    """Return whether the camera sees the ground at u, s, and not only as a fragment at the edge."""
    return s > 4.5 and abs(camera.sideways(u, s)) < 0.92 * camera.half_view(s)


def far_to_near(items: Sequence[Item], offset: float) -> list[Item]:
    """Sort items so that none is painted before another that it hides, seen from u = `offset`.

    One that begins where another ends is behind it. Of two beside each other the one farther from the camera's line of
    travel is behind. What remains undecided goes by the distance.
    """
    low = np.array([item.corners.min(axis=0) for item in items]) - (offset, 0)
    high = np.array([item.corners.max(axis=0) for item in items]) - (offset, 0)
    before = _is_behind(low, high)  # [i, j]: i is painted before j
    middle = (low[:, 1] + high[:, 1]) / 2
    order, waiting = [], np.ones(len(items), bool)
    blockers = before.sum(axis=0)
    for _ in items:
        # The farthest one that waits for nothing; in a circle, the one that waits for the fewest.
        chosen = int(np.lexsort((-middle, blockers, ~waiting))[0])
        order.append(items[chosen])
        waiting[chosen] = False
        blockers = blockers - before[chosen]
    return order


def _is_behind(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return (N, N) bool: item i is behind item j."""
    slack = 0.01
    beyond = low[:, None, 1] >= high[None, :, 1] - slack
    apart = beyond | beyond.T
    nearest = np.where((low[:, 0] < 0) & (high[:, 0] > 0), 0, np.minimum(abs(low[:, 0]), abs(high[:, 0])))
    farthest = np.maximum(abs(low[:, 0]), abs(high[:, 0]))
    center = low[:, 0] + high[:, 0]
    one_side = np.sign(center[:, None]) == np.sign(center[None, :])
    outside = ~apart & one_side & (nearest[:, None] >= farthest[None, :] - slack)
    decided = apart | outside | outside.T
    middle = low[:, 1] + high[:, 1]
    return beyond | outside | (~decided & (middle[:, None] > middle[None, :]))
