"""One scene of the demonstration data: plan a street, place objects, paint them from far to near, photograph them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.streets.camera import random_camera
from tools.streets.canvas import Canvas, Stage, circle
from tools.streets.frontage import line_street, plant_street
from tools.streets.ground import Ground
from tools.streets.layout import Layout, far_to_near
from tools.streets.light import lacquer, random_light
from tools.streets.photo import develop
from tools.streets.roadside import Roadside
from tools.streets.sky import paint_sky, paint_skyline
from tools.streets.street import random_street
from tools.streets.traffic import Traffic

_FACTOR = 2  # the canvas is larger than the photograph by this factor, for antialiasing
_EGO_VEHICLE = 1
_TRACK_SHARE = 0.45  # share of scenes with a tram track


def render_scene(seed: Sequence[int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Paint the scene of a seed.

    Args:
        seed: non-negative numbers; the same seed gives the same scene in every size.
        size: height and width of the picture in pixels.

    Returns:
        The photograph (H, W, 3) uint8 RGB, and the Cityscapes label ids (H, W) uint8.
    """
    rng = np.random.default_rng(list(seed))
    height, width = (side * _FACTOR for side in size)
    street = random_street(rng, with_track=rng.random() < _TRACK_SHARE)
    camera = random_camera(rng, width, height, lane=(-0.3, street.half - 1.4))
    stage = Stage(Canvas(height, width), camera, random_light(rng), rng)
    layout = Layout()
    traffic, roadside = Traffic(stage, street, layout), Roadside(stage, street, layout)
    # Objects that need the most space come first; cars are added twice, before and after the others on the road.
    for fill in (traffic.large, traffic.cars, roadside.furniture, traffic.cyclists, roadside.parked, traffic.cars):
        fill()
    roadside.people()
    plant_street(stage, street, layout)
    line_street(stage, street, layout)
    paint_sky(stage)
    ground = Ground(stage, street)
    ground.paint()
    ground.shadows([(item.corners, item.height) for item in layout.items if item.height > 0])
    paint_skyline(stage)
    for item in far_to_near(layout.items, camera.offset):
        item.draw()
    if rng.random() < 0.3:
        _bonnet(stage)
    return develop(stage, _FACTOR)


def _bonnet(stage: Stage) -> None:
    """Paint the bonnet of the car that carries the camera, which has no class."""
    rng, (height, width) = stage.rng, stage.canvas.label.shape
    rise, color = rng.uniform(0.05, 0.12) * height, lacquer(rng)
    brush = stage.canvas.brush(_EGO_VEHICLE, 1.0)
    center = (width / 2, height + rise * 0.4)
    for share, tone in ((1.0, 0.75), (0.93, 0.9), (0.8, 1.0)):
        red, green, blue = color
        shade = stage.light.shade((tone * red, tone * green, tone * blue), (0.0, 1.0, 0.0))
        brush.polygon(circle(center, (0.62 * width * share, 1.4 * rise * share), 60), shade)
