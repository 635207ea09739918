"""People on foot, and the riders of bicycles and motorcycles."""

from __future__ import annotations

import numpy as np

from tools.streets.canvas import Sprite, Stage, circle
from tools.streets.light import Color, dim, hsv, lacquer, usual

_PERSON, _DYNAMIC = 24, 5


def skin(rng: np.random.Generator) -> Color:
    """Return a random colour of skin."""
    return hsv(rng.uniform(0.04, 0.09), rng.uniform(0.25, 0.6), rng.uniform(0.35, 0.95))


def hair(rng: np.random.Generator) -> Color:
    """Return a random colour of hair."""
    return hsv(rng.uniform(0.04, 0.12), rng.uniform(0.1, 0.6), rng.choice([0.12, 0.25, 0.45, 0.75]))


def draw_person(stage: Stage, place: tuple[float, float], height: float) -> None:
    """Draw a standing or walking person of `height` metres, seen from the front, the back or the side."""
    rng = stage.rng
    squash = height * rng.choice([-1, 1]) / 1.75  # shapes are made for 1.75 m
    figure = Sprite(stage, place, _PERSON, squash=squash)
    tall = height / 1.75
    from_side = rng.random() < 0.45
    if rng.random() < 0.2:
        _bag(stage, place)
    _walker(figure, rng, tall, (0.24 if from_side else 0.4, from_side))


def _walker(figure: Sprite, rng: np.random.Generator, tall: float, view: tuple[float, bool]) -> None:
    """Draw legs, body, arms and head; `view` is the width of the shoulders and whether it is a view from the side."""
    (shoulders, from_side), skin_color = view, skin(rng)
    coat, trousers, shoes = usual(rng, "clothes"), usual(rng, "clothes"), dim(lacquer(rng), 0.5)
    stride = rng.uniform(0.12, 0.36) if from_side else rng.uniform(0.06, 0.12)
    hip, neck = 0.86 * tall, 1.46 * tall
    for sign in (-1, 1):
        knee = (sign * stride * 0.5 + (0.05 if from_side else 0), 0.47 * tall)
        foot = (sign * stride, 0.07)
        color = dim(trousers, 0.8 if sign < 0 else 1.0)
        figure.limb([(sign * 0.05, hip), knee, foot], 0.16, color)
        figure.limb([foot, (foot[0] + (0.12 if from_side else sign * 0.03), 0.05)], 0.1, shoes)
    swing = rng.uniform(0.05, 0.3)
    _arm(figure, (-shoulders / 2, neck - 0.09), (-shoulders / 2 - 0.05 - swing * from_side, hip), (coat, skin_color))
    hem = hip - rng.choice([0.04, 0.08, 0.35]) * tall
    waist = shoulders * 0.85
    left_half = [(-waist / 2, hem), (-shoulders / 2, neck - 0.06), (-0.08, neck)]
    figure.shape([*left_half, *((-x, y) for x, y in reversed(left_half))], coat)
    figure.shape(
        [(0.3 * waist, hem), (0.3 * shoulders, neck - 0.06), (shoulders / 2, neck - 0.06), (waist / 2, hem)],
        dim(coat, 0.82),
    )
    if from_side and rng.random() < 0.3:
        figure.shape(circle((-shoulders / 2 - 0.06, neck - 0.25), (0.13, 0.24)), lacquer(rng))  # a backpack
    _arm(figure, (shoulders / 2 - 0.03, neck - 0.09), (shoulders / 2 + swing * from_side, hip), (coat, skin_color))
    _head(figure, rng, (0.02 if from_side else 0.0, neck + 0.15), skin_color)


def _arm(figure: Sprite, shoulder: tuple, hand: tuple, colors: tuple[Color, Color]) -> None:
    sleeve, skin_color = colors
    elbow = ((shoulder[0] + hand[0]) / 2 + 0.02, (shoulder[1] + hand[1]) / 2 - 0.02)
    figure.limb([shoulder, elbow, hand], 0.11, dim(sleeve, 0.9))
    figure.disc(hand, 0.055, skin_color)


def _head(figure: Sprite, rng: np.random.Generator, center: tuple[float, float], skin_color: Color) -> None:
    x, y = center
    figure.limb([(x, y - 0.18), (x, y)], 0.1, dim(skin_color, 0.85))
    figure.disc((x, y + 0.01), (0.105, 0.135), skin_color)
    top = circle((x, y + 0.03), (0.12, 0.14))
    color = lacquer(rng) if rng.random() < 0.2 else hair(rng)
    cut = y + rng.choice([0.02, 0.06])
    figure.shape(top[top[:, 1] > cut], color)
    if rng.random() < 0.5:  # seen from behind, or looking away
        figure.disc((x - 0.05, y + 0.02), (0.08, 0.12), color)


def _bag(stage: Stage, place: tuple[float, float]) -> None:
    """Draw a suitcase beside a person; luggage is labelled 'dynamic'."""
    bag = Sprite(stage, place, _DYNAMIC)
    color = lacquer(stage.rng)
    bag.box((0.38, 0.06), (0.78, 0.62), color)
    bag.box((0.44, 0.62), (0.72, 0.66), dim(color, 0.6))
    bag.limb([(0.58, 0.64), (0.58, 0.9)], 0.04, (60, 60, 62))


def draw_rider(figure: Sprite, rng: np.random.Generator, joints: dict[str, tuple[float, float]], helmet: bool) -> None:
    """Draw the rider of a two-wheeler, seen from the side.

    Args:
        figure: sprite of the rider.
        rng: draws the colours.
        joints: hip, shoulder, hand, knee and foot in metres from the point on the ground below the vehicle.
        helmet: whether the head is covered.
    """
    coat, trousers, skin_color = usual(rng, "rider"), lacquer(rng), skin(rng)
    hip, shoulder, hand = joints["hip"], joints["shoulder"], joints["hand"]
    knee, foot = joints["knee"], joints["foot"]
    figure.limb([hip, (knee[0] - 0.08, knee[1] - 0.12), (foot[0] - 0.12, foot[1] + 0.2)], 0.17, dim(trousers, 0.7))
    figure.limb([hip, knee, foot], 0.19, trousers)
    figure.limb([foot, (foot[0] + 0.14, foot[1] - 0.02)], 0.11, dim(trousers, 0.4))
    lean = np.array([shoulder[1] - hip[1], hip[0] - shoulder[0]]) * 0.28
    hip_point, shoulder_point = np.array(hip), np.array(shoulder)
    back = [hip_point - lean, shoulder_point - lean * 0.9, shoulder_point + lean * 0.9, hip_point + lean]
    figure.shape(back, coat)
    figure.shape([back[3], back[2], shoulder_point, hip_point], dim(coat, 0.85))
    elbow = ((shoulder[0] + hand[0]) / 2, (shoulder[1] + hand[1]) / 2 - 0.08)
    figure.limb([shoulder, elbow, hand], 0.13, dim(coat, 0.9))
    figure.disc(hand, 0.06, skin_color)
    _rider_head(figure, rng, (shoulder[0] + 0.1, shoulder[1] + 0.23), (skin_color, helmet))


def draw_rider_ahead(figure: Sprite, rng: np.random.Generator, seat: float, helmet: bool) -> None:
    """Draw the rider of a two-wheeler, seen from the front or back; `seat` is the height of the hip in metres."""
    coat, trousers, skin_color = usual(rng, "rider"), lacquer(rng), skin(rng)
    for sign in (-1, 1):
        drop = rng.uniform(0.25, 0.6)
        figure.limb([(sign * 0.1, seat), (sign * 0.2, seat - 0.2), (sign * 0.17, seat - drop - 0.1)], 0.17, trousers)
        arm = [(sign * 0.2, seat + 0.45), (sign * 0.33, seat + 0.25), (sign * 0.28, seat + 0.08)]
        figure.limb(arm, 0.12, dim(coat, 0.85))
    figure.shape([(-0.17, seat - 0.05), (-0.25, seat + 0.5), (0.25, seat + 0.5), (0.17, seat - 0.05)], coat)
    figure.shape([(0.05, seat - 0.05), (0.08, seat + 0.5), (0.25, seat + 0.5), (0.17, seat - 0.05)], dim(coat, 0.85))
    _rider_head(figure, rng, (0.0, seat + 0.7), (skin_color, helmet))


def _rider_head(figure: Sprite, rng: np.random.Generator, center: tuple, look: tuple[Color, bool]) -> None:
    (x, y), (skin_color, full_helmet) = center, look
    if full_helmet:
        figure.disc((x, y), (0.155, 0.165), lacquer(rng))
        figure.box((x - 0.02, y - 0.05), (x + 0.14, y + 0.05), (28, 30, 34))
        return
    _head(figure, rng, (x, y), skin_color)
    if rng.random() < 0.6:
        cap = circle((x, y + 0.05), (0.15, 0.13))
        figure.shape(cap[cap[:, 1] > y + 0.02], lacquer(rng))
