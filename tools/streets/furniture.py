"""Street furniture: lamp posts, traffic lights, traffic signs, and objects without a class."""

from __future__ import annotations

import numpy as np

from tools.streets.canvas import Sprite, Stage, circle
from tools.streets.light import Color, dim, lacquer, metal

_STATIC, _POLE, _LIGHT, _SIGN = 4, 17, 19, 20
_SHAPES = ((24, 0.0), (3, np.pi / 2), (3, -np.pi / 2), (4, np.pi / 4), (8, np.pi / 8), (4, 0.0))  # corners, turn
_LAMPS = ((235, 45, 35), (250, 185, 40), (50, 220, 120))


def draw_lamp_post(stage: Stage, place: tuple[float, float], towards_road: int) -> None:
    """Draw a street lamp whose arm reaches over the road; `towards_road` is -1 or 1."""
    rng = stage.rng
    sprite, color = Sprite(stage, place, _POLE), metal(rng)
    height, width = rng.uniform(5, 8), rng.uniform(0.22, 0.3)
    sprite.limb([(0, 0.1), (0, height)], width, color)
    sprite.limb([(width * 0.25, 0.1), (width * 0.25, height)], width * 0.4, dim(color, 0.7))
    sprite.box((-width * 0.9, 0), (width * 0.9, 0.7), dim(color, 0.9))
    if rng.random() < 0.7:
        end = towards_road * rng.uniform(1.2, 2.2)
        sprite.limb([(0, height), (end * 0.6, height + 0.35), (end, height + 0.4)], width * 0.6, color)
        tip = end + 0.6 * towards_road
        sprite.box((min(end, tip), height + 0.32), (max(end, tip), height + 0.5), dim(color, 1.2))
    else:
        sprite.disc((0, height + 0.2), (0.28, 0.32), (235, 232, 222))


def draw_pole(stage: Stage, place: tuple[float, float]) -> None:
    """Draw a bare post or a bollard with bands."""
    rng = stage.rng
    sprite, color = Sprite(stage, place, _POLE), metal(rng)
    height, width = rng.uniform(4, 9), rng.uniform(0.22, 0.32)
    if rng.random() < 0.4:
        height, width = rng.uniform(0.9, 1.2), 0.22
    sprite.limb([(0, 0.05), (0, height)], width, color)
    sprite.limb([(width * 0.25, 0.05), (width * 0.25, height)], width * 0.4, dim(color, 0.7))
    if height < 2:
        sprite.box((-width / 2, height * 0.65), (width / 2, height * 0.8), (225, 225, 220))


def draw_traffic_light(stage: Stage, place: tuple[float, float], towards_road: int) -> None:
    """Draw traffic lights on a post, some with a second head on an arm over the road."""
    rng = stage.rng
    post, color, housing = Sprite(stage, place, _POLE), metal(rng), _housing(rng)
    over_road = rng.random() < 0.45
    height = rng.uniform(5.2, 5.8) if over_road else rng.uniform(3.0, 3.6)
    post.limb([(0, 0), (0, height)], 0.22, color)
    post.limb([(0.06, 0), (0.06, height)], 0.08, dim(color, 0.7))
    lit = rng.integers(3)
    if over_road:
        reach = towards_road * rng.uniform(1.8, 3.2)
        post.limb([(0, height), (reach, height)], 0.17, color)
        _head(stage, place, (reach, height - 0.75), (housing, lit))
    _head(stage, place, (-0.3 * towards_road, 2.75), (housing, lit))


def _housing(rng: np.random.Generator) -> Color:
    draw = rng.random()
    if draw < 0.6:
        return dim((40, 42, 44), rng.uniform(0.7, 1.8))
    return ((215, 175, 45), (40, 75, 60), (150, 152, 154))[rng.integers(3)]


def _head(stage: Stage, place: tuple[float, float], center: tuple[float, float], look: tuple[Color, int]) -> None:
    """Draw one head with three lamps, of which number `lit` is on, in front of a dark board."""
    (x, y), (housing, lit) = center, look
    sprite = Sprite(stage, place, _LIGHT)
    if stage.rng.random() < 0.35:
        sprite.box((x - 0.42, y - 0.8), (x + 0.42, y + 0.8), (235, 235, 230))
        sprite.box((x - 0.38, y - 0.76), (x + 0.38, y + 0.76), (30, 31, 33))
    sprite.box((x - 0.26, y - 0.65), (x + 0.26, y + 0.65), housing)
    for number, color in enumerate(_LAMPS):
        lamp = (x, y + 0.4 * (1 - number))
        sprite.disc((lamp[0], lamp[1] + 0.04), 0.2, (18, 18, 20))
        if number == lit:
            # A lamp that is on has its own light: its colour does not depend on the light of the scene.
            sprite.brush.polygon(sprite.pixels(circle(lamp, 0.17)), color)
            sprite.brush.polygon(sprite.pixels(circle(lamp, 0.08)), dim(color, 1.3))
        else:
            sprite.disc(lamp, 0.17, dim(color, 0.3))


def draw_sign(stage: Stage, place: tuple[float, float]) -> None:
    """Draw one or two traffic signs on a post."""
    rng = stage.rng
    post = Sprite(stage, place, _POLE)
    height, color = rng.uniform(2.6, 3.3), metal(rng)
    post.limb([(0, 0), (0, height)], 0.17, color)
    sprite = Sprite(stage, place, _SIGN)
    size = rng.uniform(0.42, 0.6)
    _plate(sprite, rng, (0.0, height - 0.1), size)
    if rng.random() < 0.4:
        _plate(sprite, rng, (0.0, height - 0.15 - 2.05 * size), size * 0.9)
    elif rng.random() < 0.5:
        low = height - 0.2 - size
        sprite.box((-size, low - 0.35), (size, low), (235, 235, 230))
        sprite.box((-0.6 * size, low - 0.22), (0.6 * size, low - 0.12), (40, 40, 44))


def draw_board(stage: Stage, place: tuple[float, float]) -> None:
    """Draw a large board with directions on two posts."""
    rng = stage.rng
    post, color = Sprite(stage, place, _POLE), metal(rng)
    wide, high = rng.uniform(1.0, 1.5), rng.uniform(1.2, 1.8)
    bottom = rng.uniform(1.9, 2.4)
    for x in (-0.6 * wide, 0.6 * wide):
        post.limb([(x, 0), (x, bottom + high)], 0.18, color)
    sprite, face = Sprite(stage, place, _SIGN), _face(rng)
    ink = (245, 245, 240) if sum(face) < 480 else (30, 30, 34)
    sprite.box((-wide, bottom), (wide, bottom + high), ink)
    sprite.box((-wide + 0.07, bottom + 0.07), (wide - 0.07, bottom + high - 0.07), face)
    for row in np.arange(bottom + 0.3, bottom + high - 0.2, 0.42):
        sprite.box((-0.8 * wide, row), (rng.uniform(-0.1, 0.4) * wide, row + 0.16), ink)
        sprite.shape([(0.55 * wide, row - 0.08), (0.55 * wide, row + 0.24), (0.85 * wide, row + 0.08)], ink)


def _face(rng: np.random.Generator) -> Color:
    faces = ((235, 235, 230), (35, 75, 165), (195, 35, 40), (235, 185, 35), (25, 110, 75), (120, 80, 50))
    return dim(faces[rng.choice(6, p=[0.3, 0.22, 0.18, 0.15, 0.1, 0.05])], rng.uniform(0.85, 1.05))


def _plate(sprite: Sprite, rng: np.random.Generator, center: tuple[float, float], size: float) -> None:
    """Draw a plate: round, triangular, square, octagonal or diamond-shaped, with a rim and a symbol."""
    x, y = center
    corners, turn = _SHAPES[rng.integers(len(_SHAPES))]
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    outline = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    face, rim = _face(rng), (205, 35, 40) if rng.random() < 0.6 else (240, 240, 236)
    sprite.shape(outline * size + center, rim)
    sprite.shape(outline * size * (0.76 if corners != 3 else 0.66) + center, face)
    ink = (245, 245, 240) if sum(face) < 480 else (25, 25, 28)
    symbol = rng.integers(4)
    if symbol == 0:
        sprite.box((x - 0.5 * size, y - 0.13 * size), (x + 0.5 * size, y + 0.13 * size), ink)
    elif symbol == 1:
        sprite.limb([(x, y - 0.4 * size), (x, y + 0.2 * size)], 0.2 * size, ink)
        sprite.shape([(x - 0.3 * size, y + 0.1 * size), (x, y + 0.5 * size), (x + 0.3 * size, y + 0.1 * size)], ink)
    elif symbol == 2:
        for offset in (-0.25, 0.2):
            sprite.ring((x + offset * size, y), (0.15 * size, 0.28 * size), 0.12 * size, ink)
    else:
        sprite.limb([(x - 0.35 * size, y - 0.35 * size), (x + 0.35 * size, y + 0.35 * size)], 0.2 * size, ink)


def draw_clutter(stage: Stage, place: tuple[float, float]) -> None:
    """Draw a bin, a switch box or a bench: static objects without a class."""
    rng = stage.rng
    sprite, color = Sprite(stage, place, _STATIC), lacquer(rng)
    kind = rng.integers(3)
    if kind == 0:
        sprite.shape([(-0.25, 0.0), (-0.3, 0.95), (0.3, 0.95), (0.25, 0.0)], color)
        sprite.box((-0.34, 0.95), (0.34, 1.05), dim(color, 0.7))
    elif kind == 1:
        sprite.box((-0.55, 0.0), (0.55, 1.25), color)
        sprite.box((-0.02, 0.1), (0.02, 1.15), dim(color, 0.6))
        sprite.box((-0.6, 1.25), (0.6, 1.33), dim(color, 0.8))
    else:
        for x in (-0.7, 0.6):
            sprite.box((x, 0.0), (x + 0.1, 0.45), (60, 60, 64))
        sprite.box((-0.85, 0.42), (0.85, 0.52), color)
        for y in (0.6, 0.76):
            sprite.box((-0.85, y), (0.85, y + 0.11), dim(color, 0.9))
