"""Cars: saloons, hatchbacks, estates, off-roaders and vans."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tools.streets.canvas import Stage
from tools.streets.light import blend, dim, lacquer
from tools.streets.solids import DARK, Pose, Solid, glass

_CAR = 26


class CarShape(NamedTuple):
    """The side view of a car in metres; `tail`, `roof` and `nose` are shares of the length from rear to front."""

    length: float
    width: float
    height: float
    belt: float
    roof: tuple[float, float, float, float]  # foot and top of the rear window, top and foot of the windscreen
    hood: float  # height of the front edge of the hood


SHAPES = (
    CarShape(4.6, 1.8, 1.45, 0.95, (0.14, 0.32, 0.58, 0.74), 0.78),  # saloon
    CarShape(4.0, 1.75, 1.5, 0.95, (0.03, 0.12, 0.56, 0.75), 0.78),  # hatchback
    CarShape(4.7, 1.8, 1.48, 0.95, (0.03, 0.09, 0.57, 0.74), 0.78),  # estate
    CarShape(4.6, 1.9, 1.75, 1.1, (0.03, 0.08, 0.56, 0.70), 0.95),  # off-roader
    CarShape(4.9, 1.95, 1.98, 1.12, (0.01, 0.04, 0.66, 0.84), 0.92),  # van
)


def random_shape(rng: np.random.Generator) -> CarShape:
    """Draw a shape, a little larger or smaller than the standard."""
    shape = SHAPES[rng.choice(len(SHAPES), p=[0.3, 0.25, 0.15, 0.18, 0.12])]
    return shape._replace(length=shape.length * rng.uniform(0.95, 1.06), height=shape.height * rng.uniform(0.97, 1.05))


def draw_car(stage: Stage, pose: Pose, shape: CarShape) -> None:
    """Draw a car in a random colour."""
    rng = stage.rng
    rear, front, low = -shape.length / 2, shape.length / 2, 0.26
    foot0, top0, top1, foot1 = (rear + share * shape.length for share in shape.roof)
    profile = [
        *((rear + 0.06, low), (rear, 0.6), (rear + 0.04, shape.belt - 0.02), (foot0, shape.belt)),
        *((top0, shape.height - 0.03), (top1, shape.height), (foot1, shape.belt)),
        *((front - 0.12, shape.hood), (front, 0.55), (front - 0.05, low)),
    ]
    body = Solid(stage, pose, profile, width=shape.width, label_id=_CAR, belt=shape.belt)
    paint, pane = lacquer(rng), glass(stage, 0.45)
    for axle in (rear + 0.8, front - 0.85) if body.eye[0] < 0 else (front - 0.85, rear + 0.8):
        body.tyres(axle, 0.31)
    colors = [paint] * len(profile)
    colors[0] = colors[8] = dim(paint, 0.82)
    for edge in body.visible_strips():
        body.patch(edge, (-1, 1), (0, 1), colors[edge])
        if edge in (3, 5):
            body.patch(edge, (-0.88, 0.88), (0.08, 0.92), pane)
            body.patch(edge, (-0.3, 0.5), (0.08, 0.92), dim(pane, 1.12))  # a reflection
    _front(body, stage)
    _rear(body, stage)
    if body.sees_side:
        _flank(body, shape, paint, pane)


def _flank(body: Solid, shape: CarShape, paint: tuple, pane: tuple) -> None:
    """Paint the visible side: body panels, windows, door gaps, handles and wheels."""
    rear, front = -shape.length / 2, shape.length / 2
    foot0, top0, top1, foot1 = (rear + share * shape.length for share in shape.roof)
    body.flank(body.profile, paint)
    body.flank_box((rear + 0.1, front - 0.1), (0.26, 0.36), dim(paint, 0.55))
    base, top = shape.belt + 0.02, shape.height - 0.1
    body.flank([(foot0 + 0.16, base), (top0 + 0.08, top), (top1 - 0.02, top), (foot1 - 0.16, base)], pane)
    middle = (top0 + top1) / 2
    for pillar in (middle + 0.1, (top0 + middle) / 2 - 0.1):
        body.flank_box((pillar - 0.04, pillar + 0.04), (base, top), dim(paint, 0.8))
        body.flank_box((pillar - 0.012, pillar + 0.012), (0.4, base), dim(paint, 0.6))
        body.flank_box((pillar - 0.25, pillar - 0.08), (base - 0.14, base - 0.1), dim(paint, 0.55))
    body.flank_box((rear + 0.03, rear + 0.25), (0.7, 0.85), (150, 25, 25))
    body.flank_box((front - 0.35, front - 0.08), (0.6, 0.72), (225, 225, 215))
    body.wheels((rear + 0.8, front - 0.85), 0.31, body.stage.light.shade((165, 165, 170)))


def _front(body: Solid, stage: Stage) -> None:
    """Paint lights, grille, bumper and number plate if the front is visible."""
    if 7 not in body.visible_strips():
        return
    lamp = (255, 250, 225) if stage.rng.random() < 0.5 else (205, 208, 210)
    for left in (-0.93, 0.55):
        body.patch(7, (left, left + 0.38), (0.1, 0.55), lamp)
    body.patch(7, (-0.5, 0.5), (0.15, 0.75), DARK)
    body.patch(8, (-0.75, 0.75), (0.45, 0.95), DARK)
    body.patch(8, (-0.3, 0.3), (0.05, 0.4), (225, 225, 220))


def _rear(body: Solid, stage: Stage) -> None:
    """Paint lights, number plate and bumper if the rear is visible."""
    if 1 not in body.visible_strips():
        return
    lamp = (235, 40, 30) if stage.rng.random() < 0.4 else (150, 25, 25)
    for left in (-0.97, 0.67):
        body.patch(1, (left, left + 0.3), (0.3, 0.85), lamp)
    body.patch(1, (-0.32, 0.32), (0.25, 0.6), (225, 225, 220))
    body.patch(0, (-0.9, 0.9), (0.0, 0.55), blend(DARK, (90, 90, 90), 0.2))
