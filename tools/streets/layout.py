"""The positions of objects in a scene, and the order in which they are painted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tools.streets.camera import Camera


@dataclass(frozen=True)
class Item:
    """An object on the ground.

    Attributes:
        corners: (N, 2) u and s of its footprint in metres.
        height: height in metres, for the shadow.
        draw: paints the object.
    """

    corners: np.ndarray
    height: float
    draw: Callable[[], None]


class Layout:
    """Collection of items; those added with `place` do not overlap."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._taken: list[np.ndarray] = []  # lower and upper corner (2, 2) of rectangles in u and s

    def add(self, item: Item) -> None:
        """Add an item even if it overlaps others."""
        self.items.append(item)

    def place(self, item: Item, margin: float = 0.25) -> bool:
        """Add an item if there is no other within `margin` metres; return whether it was added."""
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
    """Return whether the camera sees the ground at u, s, not only at the very edge of the picture."""
    return s > 4.5 and abs(camera.sideways(u, s)) < 0.92 * camera.half_view(s)


def far_to_near(items: Sequence[Item], offset: float) -> list[Item]:
    """Sort items so that none is painted before another that it hides, seen from u = `offset`.

    An item that begins where another ends is behind it. Of two items side by side, the one farther from the camera's
    line of travel is behind. All others are ordered by distance.
    """
    low = np.array([item.corners.min(axis=0) for item in items]) - (offset, 0)
    high = np.array([item.corners.max(axis=0) for item in items]) - (offset, 0)
    before = _is_behind(low, high)  # [i, j]: i is painted before j
    middle = (low[:, 1] + high[:, 1]) / 2
    order, waiting = [], np.ones(len(items), bool)
    blockers = before.sum(axis=0)
    for _ in items:
        # The farthest item with nothing left to be painted before it; in a cycle, the one with the fewest.
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
