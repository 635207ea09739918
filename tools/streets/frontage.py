"""The frontage of the street: houses, walls, fences, hedges, gardens and parks."""

from __future__ import annotations

from functools import partial

import numpy as np

from tools.streets.barriers import draw_fence, draw_hedge, draw_wall
from tools.streets.buildings import Facade, draw_house
from tools.streets.canvas import Stage
from tools.streets.layout import Item, Layout, rectangle
from tools.streets.plants import draw_bush, draw_tree
from tools.streets.street import SIDEWALK, TERRAIN, Side, Street

_END = 62.0  # metres
# Shares of house, wall, fence, hedge and open ground in each kind of neighbourhood.
_THEMES = {
    "town": (0.48, 0.26, 0.24, 0.0, 0.02),
    "suburb": (0.12, 0.33, 0.35, 0.1, 0.1),
    "park": (0.05, 0.3, 0.36, 0.12, 0.17),
}
_KINDS = ("house", "wall", "fence", "hedge", "open")


def line_street(stage: Stage, street: Street, layout: Layout) -> None:
    """Fill the frontage on both sides of the street."""
    for side in street.sides:
        theme = _THEMES[stage.rng.choice(list(_THEMES), p=[0.55, 0.3, 0.15])]
        start = 1.5
        while start < _END:
            length = stage.rng.uniform(7, 13)
            end = start + length
            if side.sign in street.branches and street.junction is not None:
                if start < street.junction[0] < end:
                    end = street.junction[0]
                elif street.is_open(start, margin=0.1):
                    start = street.junction[1] + 0.2
                    continue
            if end - start > 2:
                _segment(stage, layout, side, (start, end), kind=_KINDS[stage.rng.choice(5, p=theme)])
            start = end


def _segment(stage: Stage, layout: Layout, side: Side, span: tuple[float, float], *, kind: str) -> None:
    rng, u = stage.rng, side.sign * side.front
    if kind == "house":
        _house(stage, layout, side.sign, (u, span))
        return
    _behind(stage, layout, side.sign, (u, span))
    if kind == "open":
        return
    draw, low, high = {
        "wall": (draw_wall, 1.8, 3.2),
        "fence": (draw_fence, 1.5, 2.4),
        "hedge": (draw_hedge, 0.9, 2.0),
    }[kind]
    height = rng.uniform(low, high)
    corners = rectangle(u + side.sign * 0.2, sum(span) / 2, 0.4, span[1] - span[0])
    layout.add(Item(corners, 0.0 if kind == "fence" else height, partial(draw, stage, u, span, height)))


def _house(stage: Stage, layout: Layout, sign: int, front: tuple[float, tuple[float, float]]) -> None:
    rng, (u, span) = stage.rng, front
    roof = rng.uniform(1.5, 4) if rng.random() < 0.55 else 0.0
    facade = Facade(u, *span, height=rng.choice([3, 4, 5, 6], p=[0.3, 0.3, 0.25, 0.15]) * 3.0 + 0.8, roof=roof)
    corners = rectangle(u + sign * 4, sum(span) / 2, 8, span[1] - span[0])
    layout.add(Item(corners, facade.height, partial(draw_house, stage, facade)))


def _behind(stage: Stage, layout: Layout, sign: int, front: tuple[float, tuple[float, float]]) -> None:
    """Fill the ground behind a low front with a house set back, or with trees and bushes."""
    rng, (u, span) = stage.rng, front
    setback = rng.uniform(3, 6)
    if span[0] < 35 and rng.random() < 0.5:
        _house(stage, layout, sign, (u + sign * (setback + 2), span))
    for _ in range(rng.integers(0, 4)):
        place = (u + sign * rng.uniform(1, setback + 1), rng.uniform(span[0], span[1]))
        if place[1] < 4:
            continue
        if rng.random() < 0.6:
            height, draw = rng.uniform(3.5, 8), draw_tree
        else:
            height, draw = rng.uniform(0.7, 1.8), draw_bush
        size = 1.0 if draw is draw_bush else 0.4 * height
        item = Item(rectangle(*place, size, min(size, 1.5)), height, partial(draw, stage, place, height))
        layout.place(item)


def plant_street(stage: Stage, street: Street, layout: Layout) -> None:
    """Plant trees and bushes between road and frontage."""
    rng = stage.rng
    for side in street.sides:
        band = side.band(TERRAIN) or side.band(SIDEWALK)
        if band is None or rng.random() < 0.4:
            continue
        u = side.sign * np.mean(band)
        gap, height = rng.uniform(6, 14), rng.uniform(4, 8)
        for s in np.arange(rng.uniform(6, 14), 60, gap):
            if street.is_open(s, margin=2) or rng.random() < 0.2:
                continue
            place = (float(u + rng.normal(0, 0.15)), float(s))
            tall = height * rng.uniform(0.8, 1.2)
            layout.place(Item(rectangle(*place, 0.5, 0.5), tall, partial(draw_tree, stage, place, tall)))
