"""Bodies of vehicles: a side view extruded to a width, seen from any direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tools.streets.canvas import Stage, circle
from tools.streets.light import Color, blend, dim

Profile = Sequence[tuple[float, float]]  # side view in metres, x forward and h up, from the lower rear over the roof
RUBBER, DARK = (24, 24, 26), (38, 38, 42)


@dataclass(frozen=True)
class Pose:
    """Position of a vehicle: its middle at u, s in metres; yaw in radians, 0 = driving away, positive to the right."""

    u: float
    s: float
    yaw: float

    def corners(self, length: float, width: float) -> np.ndarray:
        """Return the corners (4, 2), u and s, of a rectangle around the middle."""
        x = np.array([-1, 1, 1, -1]) * length / 2
        w = np.array([-1, -1, 1, 1]) * width / 2
        return self.place(x, w)

    def place(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return u and s (N, 2) of points x metres ahead of the middle and w metres to its right."""
        sin, cos = np.sin(self.yaw), np.cos(self.yaw)
        return np.stack([self.u + x * sin + w * cos, self.s + x * cos - w * sin], axis=1)


class Solid:
    """A convex side view extruded to a width, narrower above the belt line."""

    def __init__(
        self, stage: Stage, pose: Pose, profile: Profile, *, width: float, label_id: int, belt: float = 99.0
    ) -> None:
        self.stage, self.pose, self.width, self.belt = stage, pose, width, belt
        self.profile = np.asarray(profile, float)
        self.top = self.profile[:, 1].max()
        self.brush = stage.canvas.brush(label_id, pose.s)
        camera = stage.camera
        across, ahead = -camera.sideways(pose.u, pose.s), -pose.s  # from the vehicle to the camera
        sin, cos = np.sin(pose.yaw), np.cos(pose.yaw)
        self.eye = np.array([across * sin + ahead * cos, camera.eye, across * cos - ahead * sin])  # x, h, w
        self.side = 1 if self.eye[2] > 0 else -1  # the visible side
        self.sees_side = abs(self.eye[2]) > width / 2

    def half_width(self, h: np.ndarray | float) -> np.ndarray | float:
        """Return half the width in metres at a height."""
        return self.width / 2 * (1 - 0.2 * np.clip((np.asarray(h) - self.belt) / max(self.top - self.belt, 0.1), 0, 1))

    def pixels(self, x: ArrayLike, h: ArrayLike, w: ArrayLike) -> np.ndarray | None:
        """Project points given by length, height and sideways position."""
        ahead, up, aside = np.broadcast_arrays(np.asarray(x, float), np.asarray(h, float), np.asarray(w, float))
        place = self.pose.place(ahead, aside)
        return self.stage.camera.outline(np.stack([place[:, 0], up, place[:, 1]], axis=1))

    def lit(self, color: Color, normal: Sequence[float]) -> Color:
        """Return a colour as it looks on a face with outward normal x, h, w in the vehicle's axes."""
        sin, cos = np.sin(self.pose.yaw), np.cos(self.pose.yaw)
        x, h, w = np.asarray(normal) / np.linalg.norm(normal)
        return self.stage.light.shade(color, (x * sin + w * cos, h, x * cos - w * sin))

    def visible_strips(self) -> list[int]:
        """Return the numbers of the edges of the profile with visible faces, the farthest first."""
        found = []
        for index, (start, end) in enumerate(zip(self.profile, np.roll(self.profile, -1, axis=0))):
            normal = _normal(start, end)
            if normal @ (self.eye[:2] - start) > 0 and max(start[1], end[1]) > self.profile[:, 1].min() + 0.01:
                distance = np.linalg.norm(self.eye[:2] - (start + end) / 2)
                found.append((-distance, index))
        return [index for _, index in sorted(found)]

    def patch(self, edge: int, across: tuple[float, float], along: tuple[float, float], color: Color) -> None:
        """Paint a part of the face over an edge: `across` in -1..1 from left to right, `along` the edge in 0..1."""
        start, end = self.profile[edge], self.profile[(edge + 1) % len(self.profile)]
        share = np.array([along[0], along[0], along[1], along[1]])
        x, h = start[:, None] * (1 - share) + end[:, None] * share
        w = np.array([across[0], across[1], across[1], across[0]]) * self.half_width(h)
        normal = _normal(start, end)
        self.brush.polygon(self.pixels(x, h, w), self.lit(color, (normal[0], normal[1], 0.0)))

    def flank(self, points: ArrayLike, color: Color) -> None:
        """Paint a polygon of x, h on the visible side; do nothing if the camera is directly ahead or behind."""
        if not self.sees_side:
            return
        corners = np.asarray(points, float)
        w = self.side * self.half_width(corners[:, 1])
        self.brush.polygon(self.pixels(corners[:, 0], corners[:, 1], w), self.lit(color, (0.0, 0.15, self.side)))

    def flank_box(self, x: tuple[float, float], h: tuple[float, float], color: Color) -> None:
        """Paint a rectangle on the visible side."""
        self.flank([(x[0], h[0]), (x[0], h[1]), (x[1], h[1]), (x[1], h[0])], color)

    def hull(self, colors: Sequence[Color]) -> None:
        """Paint all visible faces, with one colour per edge, and the visible side in the colour of the first edge."""
        for edge in self.visible_strips():
            self.patch(edge, (-1, 1), (0, 1), colors[edge])
        self.flank(self.profile, colors[0])

    def wheels(self, positions: Sequence[float], radius: float, rim: Color) -> None:
        """Paint the wheels of the visible side, at `positions` along the vehicle."""
        for x in positions:
            for share, color in ((1.18, DARK), (1.0, RUBBER), (0.62, rim), (0.2, dim(rim, 0.5))):
                ring = circle((x, radius), radius * share)
                self.flank(ring[ring[:, 1] > -0.01] if share > 1 else ring, color)

    def tyres(self, x: float, radius: float) -> None:
        """Paint the two tyres of an axle, visible below the front or the rear; call it before painting the body."""
        for left in (-0.96, 0.7):
            w = np.array([left, left, left + 0.26, left + 0.26]) * self.width / 2
            self.brush.polygon(self.pixels([x] * 4, [0, radius * 1.3, radius * 1.3, 0], w), RUBBER)


def glass(stage: Stage, lightness: float = 0.3) -> Color:
    """Return the colour of a window pane: dark, with a reflection of the sky."""
    return blend((28, 32, 38), stage.light.haze, lightness * stage.rng.uniform(0.3, 1.0))


def _normal(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the outward normal (x, h) of an edge of a profile that runs over the roof from the rear to the front."""
    along = end - start
    normal = np.array([-along[1], along[0]])
    return normal / max(np.linalg.norm(normal), 1e-9)
