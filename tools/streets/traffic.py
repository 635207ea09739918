"""The vehicles of a scene, in their lanes, at the kerb or crossing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tools.streets.canvas import Stage
from tools.streets.cars import draw_car, random_shape
from tools.streets.large_vehicles import (
    BUS_SIZE,
    TRAM_HEIGHT,
    TRAM_MODULE,
    TRAM_WIDTH,
    TRUCK_SIZE,
    draw_bus,
    draw_tram,
    draw_truck,
    draw_wire,
)
from tools.streets.layout import Item, Layout, rectangle, visible
from tools.streets.solids import Pose
from tools.streets.street import Street
from tools.streets.two_wheelers import (
    draw_bicycle,
    draw_bicycle_ahead,
    draw_motorcycle,
    draw_motorcycle_ahead,
    random_squash,
)

_TRIES = 40
_LARGE_SHARE = 0.5  # share of scenes that try to add a truck, and of those that try to add a bus; not all have space


class Traffic:
    """Add vehicles to a layout where the camera sees them."""

    def __init__(self, stage: Stage, street: Street, layout: Layout) -> None:
        self.stage, self.rng, self.street, self.layout = stage, stage.rng, street, layout

    def large(self) -> None:
        """Add tram, truck and bus first, because they need the most space."""
        rng = self.rng
        if self.street.track is not None:
            self._tram(self.street.track)
        kinds = [(BUS_SIZE, draw_bus), (TRUCK_SIZE, draw_truck)]
        for index in rng.permutation(len(kinds)):
            size, draw = kinds[index]
            if rng.random() < _LARGE_SHARE:
                self._vehicle(size, partial(draw, self.stage), reach=(6.5, 15))

    def cyclists(self) -> None:
        """Add bicycles and motorcycles with their riders."""
        rng = self.rng
        for _ in range(rng.integers(1, 3)):
            draw = draw_bicycle_ahead
            if rng.random() < 0.7:
                draw = partial(draw_bicycle, squash=random_squash(rng), ridden=True)
            self._ridden(draw)
        for _ in range(rng.integers(0, 3)):
            draw = partial(draw_motorcycle_ahead, ridden=True)
            if rng.random() < 0.7:
                draw = partial(draw_motorcycle, squash=random_squash(rng), ridden=True)
            self._ridden(draw)

    def cars(self) -> None:
        """Add a few cars where there is space left."""
        for _ in range(self.rng.integers(2, 5)):
            shape = random_shape(self.rng)
            size = (shape.length, shape.width, shape.height)
            self._vehicle(size, partial(draw_car, self.stage, shape=shape), reach=(5, 24))

    def _tram(self, track: float) -> None:
        rng, stage = self.rng, self.stage
        self.layout.add(Item(rectangle(track, 100, 0.1, 0.1), 0.0, partial(draw_wire, stage, track)))
        modules = int(rng.choice([1, 2, 3], p=[0.2, 0.45, 0.35]))
        length = modules * TRAM_MODULE
        pose = Pose(track, rng.uniform(7, 14) + length / 2, 0.0 if track > 0 else np.pi)
        draw = partial(draw_tram, stage, pose, modules)
        self.layout.place(Item(pose.corners(length, TRAM_WIDTH), TRAM_HEIGHT, draw))

    def _vehicle(
        self, size: tuple[float, float, float], draw: Callable[[Pose], None], *, reach: tuple[float, float]
    ) -> None:
        """Try to add a vehicle of `size` (length, width, height) whose near end is within `reach` metres."""
        length, width, height = size
        for _ in range(_TRIES):
            pose = self._pose(length, width, reach)
            if pose is None:
                continue
            if self.layout.place(Item(pose.corners(length, width), height, partial(draw, pose)), margin=0.35):
                return

    def _pose(self, length: float, width: float, reach: tuple[float, float]) -> Pose | None:
        """Return a random pose, driving, parked at the kerb or crossing; None if it is not allowed or not visible."""
        rng, street = self.rng, self.street
        kind = rng.choice(["drive", "park", "cross"], p=[0.45, 0.33, 0.22])
        near = reach[0] + (reach[1] - reach[0]) * rng.random() ** 1.3
        if kind == "cross":
            if street.junction is None:
                return None
            near = rng.uniform(street.junction[0] + 0.5, street.junction[1] - width)
            u, yaw, s = rng.uniform(-6, 6), rng.choice([-0.5, 0.5]) * np.pi, near + width / 2
        else:
            s = near + length / 2
            u = self._lane() if kind == "drive" else rng.choice([-1, 1]) * (street.half - width / 2 - 0.25)
            yaw = 0.0 if u > 0 else np.pi
            on_bed = street.own_bed and street.track is not None and abs(u - street.track) < 1.5 + width / 2
            if on_bed or (kind == "park" and street.is_open(s, margin=length / 2)):
                return None
        pose = Pose(float(u), float(s), float(yaw + rng.normal(0, 0.02)))
        return pose if visible(self.stage.camera, u, near + 1) else None

    def _lane(self) -> float:
        """Return a random u of a vehicle in one of the lanes."""
        count = self.street.lanes
        lane = 2 * self.street.half / count
        return -self.street.half + (self.rng.integers(count) + 0.5) * lane + self.rng.normal(0, 0.12)

    def _ridden(self, draw: Callable) -> None:
        """Try to add a two-wheeler with its rider on the road."""
        rng, street = self.rng, self.street
        for _ in range(_TRIES):
            u = rng.uniform(-3, 3)
            if rng.random() < 0.7:
                u = rng.choice([-1, 1]) * (street.half - rng.uniform(0.6, 2.2))
            s = rng.uniform(5.5, 12)
            if not visible(self.stage.camera, u, s):
                continue
            if self.layout.place(Item(rectangle(u, s, 1.6, 0.6), 1.6, partial(draw, self.stage, (u, s)))):
                return
