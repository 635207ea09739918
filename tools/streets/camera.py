"""The projection of street coordinates to the picture.

Street coordinates are metres: u to the right of the middle of the road, h above the ground, s along the road from the
camera. The road may bend and the camera may look sideways; both only shift a point sideways, so that everything along
the road can be placed in straight street coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 0.6  # metres; nearer parts are clipped
FAR = 400.0  # metres; the ground ends there


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with a level optical axis; a pitch is a shift of the horizon.

    Attributes:
        width: columns of the picture.
        height: rows of the picture.
        focal: focal length in pixels.
        horizon: row of the horizon.
        eye: height above the ground in metres.
        offset: u of the camera in metres.
        heading: sideways drift of the road, metres per metre.
        bend: curvature of the road in 1/metre, positive to the right.
    """

    width: int
    height: int
    focal: float
    horizon: float
    eye: float
    offset: float
    heading: float
    bend: float

    def scale(self, s: float) -> float:
        """Return the pixels per metre at distance `s`."""
        return self.focal / max(s, NEAR)

    def half_view(self, s: float) -> float:
        """Return the metres of the scene that are visible on either side of the axis at distance `s`."""
        return 0.5 * self.width / self.scale(s)

    def sideways(self, u: float, s: float) -> float:
        """Return the distance in metres of a point of the street from the optical axis, positive to the right."""
        return u - self.offset + self.heading * s + 0.5 * self.bend * s * s

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the pixels (N, 2), x and y, of points (N, 3) given as u, h, s; all must be in front of the camera."""
        u, h, s = np.asarray(points, float).T
        across = u - self.offset + self.heading * s + 0.5 * self.bend * s * s
        ratio = self.focal / s
        return np.stack([0.5 * self.width + across * ratio, self.horizon + (self.eye - h) * ratio], axis=1)

    def outline(self, points: np.ndarray) -> np.ndarray | None:
        """Project a polygon (N, 3), clipped at distance `NEAR`; return None if nothing remains."""
        points = np.asarray(points, float)
        if points[:, 2].min() < NEAR:
            points = _beyond_near(points)
        return self.project(points) if len(points) > 2 else None

    def ground(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Return the first row of the ground, and u and s (rows, width) float32 of every pixel from that row on."""
        first = int(np.clip(np.ceil(self.horizon), 0, self.height - 1))
        rows = np.arange(first, self.height) + 0.5
        distance = np.minimum(self.focal * self.eye / np.maximum(rows - self.horizon, 1e-3), FAR)
        columns = np.arange(self.width) + 0.5 - 0.5 * self.width
        bent = self.heading * distance + 0.5 * self.bend * distance**2
        u = columns[None, :] * (distance / self.focal)[:, None] + (self.offset - bent)[:, None]
        s = np.repeat(distance[:, None], self.width, axis=1)
        return first, u.astype(np.float32), s.astype(np.float32)


def _beyond_near(points: np.ndarray) -> np.ndarray:
    """Return a polygon (N, 3) clipped at the plane s = NEAR."""
    kept = []
    for start, end in zip(points, np.roll(points, -1, axis=0)):
        if start[2] >= NEAR:
            kept.append(start)
        if (start[2] >= NEAR) != (end[2] >= NEAR):
            kept.append(start + (end - start) * (NEAR - start[2]) / (end[2] - start[2]))
    return np.array(kept).reshape(-1, 3)


def random_camera(rng: np.random.Generator, width: int, height: int, lane: tuple[float, float]) -> Camera:
    """Return a random camera within `lane`, a range of u in metres."""
    heading = rng.normal(0, 0.025)
    bend = rng.uniform(-1, 1) ** 3 / 130
    return Camera(
        width=width,
        height=height,
        focal=width * rng.uniform(0.72, 0.98),
        horizon=height * rng.uniform(0.36, 0.48),
        eye=rng.uniform(1.3, 2.3),
        offset=rng.uniform(*lane),
        heading=float(np.clip(heading, -0.05, 0.05)),
        bend=bend,
    )
