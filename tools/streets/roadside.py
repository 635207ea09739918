"""Objects on pavements and verges: posts, lights and signs, parked two-wheelers, people, railings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tools.streets.barriers import draw_fence
from tools.streets.canvas import Stage
from tools.streets.furniture import (
    draw_board,
    draw_clutter,
    draw_lamp_post,
    draw_pole,
    draw_sign,
    draw_traffic_light,
)
from tools.streets.layout import Item, Layout, rectangle, visible
from tools.streets.people import draw_person
from tools.streets.street import SIDEWALK, Street
from tools.streets.two_wheelers import draw_bicycle, draw_motorcycle, random_squash

_TRIES = 30


class Spot(NamedTuple):
    """The space that an object needs beside the road: metres across and along, its height, and the range of s."""

    width: float
    length: float
    height: float
    reach: tuple[float, float]
    at_kerb: bool = False  # rather than anywhere on the pavement
    margin: float = 0.1  # metres to other objects


class Roadside:
    """Add objects beside the road to a layout."""

    def __init__(self, stage: Stage, street: Street, layout: Layout) -> None:
        self.stage, self.rng, self.street, self.layout = stage, stage.rng, street, layout

    def furniture(self) -> None:
        """Add posts, traffic lights and signs."""
        rng = self.rng
        for _ in range(rng.integers(1, 3)):
            self._put(draw_traffic_light, Spot(0.3, 0.3, 4, (6, 15), at_kerb=True, margin=0.8))
        for _ in range(rng.integers(1, 4)):
            self._put(draw_sign, Spot(0.3, 0.3, 3, (6, 15), at_kerb=True, margin=0.4))
        if rng.random() < 0.3:
            self._put(draw_board, Spot(2.0, 0.3, 3.5, (9, 22), margin=0.5))
        for _ in range(rng.integers(1, 3)):
            self._put(draw_lamp_post, Spot(0.3, 0.3, 7, (6, 18), at_kerb=True, margin=0.8))
        for _ in range(rng.integers(0, 3)):
            self._put(draw_pole, Spot(0.3, 0.3, 5, (6, 14), at_kerb=rng.random() < 0.6, margin=0.5))
        if rng.random() < 0.5:
            self._railing()

    def parked(self) -> None:
        """Add parked bicycles and motorcycles."""
        for draw in (draw_bicycle, draw_motorcycle):
            for _ in range(self.rng.integers(0, 4)):
                parked = partial(draw, squash=random_squash(self.rng), ridden=False)
                self._put(parked, Spot(1.7, 0.6, 1.0, (5, 12), at_kerb=self.rng.random() < 0.3))

    def people(self) -> None:
        """Add people on the pavement and on the zebra crossing, and clutter."""
        rng = self.rng
        for _ in range(rng.integers(4, 10)):
            height = rng.uniform(1.6, 1.92) if rng.random() < 0.85 else rng.uniform(1.15, 1.4)
            draw = partial(draw_person, height=height)
            if self.street.zebra is not None and rng.random() < 0.4:
                self._cross(draw, height)
            else:
                self._put(draw, Spot(0.6, 0.4, height, (5, 13)))
        for _ in range(rng.integers(0, 3)):
            self._put(draw_clutter, Spot(1.0, 0.5, 1.0, (6, 25)))

    def _put(self, draw: Callable, spot: Spot) -> None:
        """Try to add an object on either side; `draw` gets stage, place and direction of its arm, if any."""
        rng, street = self.rng, self.street
        for _ in range(_TRIES):
            side = street.sides[rng.integers(2)]
            inner, outer = side.band(SIDEWALK) or (street.half, side.front)
            room = max(outer - inner - spot.width, 0.1)
            distance = street.half + 0.45 if spot.at_kerb else inner + spot.width / 2 + rng.uniform(0, room)
            u = side.sign * distance
            s = spot.reach[0] + (spot.reach[1] - spot.reach[0]) * rng.random() ** 1.3
            if street.is_open(s, margin=spot.length / 2 + 0.3) or not visible(self.stage.camera, u, s):
                continue
            arm = (-side.sign,) if draw in (draw_lamp_post, draw_traffic_light) else ()
            item = Item(rectangle(u, s, spot.width, spot.length), spot.height, partial(draw, self.stage, (u, s), *arm))
            if self.layout.place(item, margin=spot.margin):
                return

    def _cross(self, draw: Callable, height: float) -> None:
        """Try to add a person on the zebra crossing."""
        u = self.rng.uniform(-self.street.half, self.street.half)
        assert self.street.zebra is not None  # there is one
        s = self.street.zebra + self.rng.uniform(-1, 1)
        if visible(self.stage.camera, u, s):
            self.layout.place(Item(rectangle(u, s, 0.6, 0.4), height, partial(draw, self.stage, (u, s))))

    def _railing(self) -> None:
        """Try to add a railing between pavement and road."""
        rng, street = self.rng, self.street
        side = street.sides[rng.integers(2)]
        u, start = side.sign * (street.half + 0.45), rng.uniform(6, 13)
        span = (start, start + rng.uniform(3, 8))
        if street.is_open(span[0], margin=1) or street.is_open(span[1], margin=1):
            return
        item = Item(
            rectangle(u, sum(span) / 2, 0.15, span[1] - span[0]),
            0.0,
            partial(draw_fence, self.stage, u, span, rng.uniform(0.9, 1.2)),
        )
        self.layout.place(item)
