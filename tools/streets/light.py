"""The light of a scene: sun, sky light, colour temperature, haze; and the colours of objects."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Color = tuple[float, float, float]  # RGB, 0..255


@dataclass(frozen=True)
class Light:
    """How the scene is lit.

    Attributes:
        direction: unit vector towards the sun, as u, h, s.
        sun: strength of the direct light, 0 (overcast) to about 0.7.
        ambient: strength of the ambient light.
        tint: factors of red, green and blue.
        haze: colour that distant objects fade to.
        density: density of the haze, 1/metre.
        wetness: 0 (dry) to 1, how much the road reflects.
    """

    direction: tuple[float, float, float]
    sun: float
    ambient: float
    tint: Color
    haze: Color
    density: float
    wetness: float

    def strength(self, normal: Sequence[float]) -> float:
        """Return the brightness of a surface with the outward unit `normal` (u, h, s)."""
        facing = max(0.0, float(np.dot(normal, self.direction)))
        return self.ambient * (0.85 + 0.15 * normal[1]) + self.sun * facing

    def shade(self, color: Color, normal: Sequence[float] = (0.0, 0.0, -1.0)) -> Color:
        """Return a colour as it looks on a surface with that normal; the default faces the camera."""
        return dim(color, self.strength(normal))


def dim(color: Sequence[float], factor: float) -> Color:
    """Return a colour scaled by `factor`, at most white."""
    red, green, blue = (min(255.0, value * factor) for value in color)
    return red, green, blue


def blend(first: Sequence[float], second: Sequence[float], share: float) -> Color:
    """Return a mix of two colours, with `share` of the second."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second))
    return red, green, blue


def random_light(rng: np.random.Generator) -> Light:
    """Return a random light for a scene."""
    overcast, dusk = rng.random() < 0.35, rng.random() < 0.2
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(12, 25) if dusk else rng.uniform(25, 65))
    sun = 0.0 if overcast else rng.uniform(0.35, 0.7)
    warm = rng.uniform(0.0, 0.14) if dusk else rng.uniform(-0.07, 0.07)
    haze = blend((205, 210, 215), (235, 205, 180), 0.9 if dusk else rng.uniform(0, 0.35))
    return Light(
        direction=(
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
            float(np.cos(elevation) * np.cos(azimuth)),
        ),
        sun=sun,
        ambient=rng.uniform(0.85, 1.08) if overcast else rng.uniform(0.66, 0.82),
        tint=(1 + warm, 1.0, 1 - 1.2 * warm),
        haze=dim(haze, rng.uniform(0.85, 1.05)),
        density=rng.choice([0.0015, 0.004, 0.012], p=[0.6, 0.32, 0.08]) * rng.uniform(0.7, 1.3),
        wetness=rng.uniform(0.4, 1.0) if rng.random() < 0.25 else 0.0,
    )


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return an RGB colour 0..255 from hue, saturation and value in 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(1, max(0, saturation)), min(1, max(0, value)))
    return 255 * red, 255 * green, 255 * blue


def lacquer(rng: np.random.Generator) -> Color:
    """Return a random colour of paint or cloth; vehicles, clothes, shop fronts and fences share these colours."""
    if rng.random() < 0.45:
        return hsv(rng.random(), rng.uniform(0, 0.12), rng.choice([0.14, 0.3, 0.5, 0.72, 0.92]) + rng.normal(0, 0.04))
    return hsv(rng.random(), rng.uniform(0.3, 0.85), rng.uniform(0.3, 0.9))


USUAL = {  # typical colours of some kinds of objects; each also occurs on other kinds
    "bus": (190, 45, 40),
    "train": (225, 185, 55),
    "truck": (225, 225, 220),
    "cab": (45, 85, 165),
    "clothes": (50, 60, 95),
    "rider": (225, 125, 40),
    "bicycle": (50, 150, 150),
    "motorcycle": (45, 45, 50),
    "fence": (45, 85, 60),
    "wall": (125, 130, 145),
}


def usual(rng: np.random.Generator, kind: str, other: Callable[[np.random.Generator], Color] = lacquer) -> Color:
    """Return a random colour for a kind in `USUAL`: in two of three cases a variation of it, else one of `other`."""
    if rng.random() > 0.67:
        return other(rng)
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in USUAL[kind]))
    return hsv(hue + rng.normal(0, 0.025), saturation * rng.uniform(0.75, 1.15), value * rng.uniform(0.75, 1.1))


def masonry(rng: np.random.Generator) -> Color:
    """Return a random colour of stone, plaster, concrete or brick, for buildings, walls and paving."""
    if rng.random() < 0.35:
        return hsv(rng.random(), rng.uniform(0, 0.06), rng.uniform(0.35, 0.85))
    if rng.random() < 0.8:
        return hsv(rng.uniform(0.0, 0.14), rng.uniform(0.1, 0.55), rng.uniform(0.4, 0.9))
    return hsv(rng.random(), rng.uniform(0.1, 0.35), rng.uniform(0.5, 0.9))


def metal(rng: np.random.Generator) -> Color:
    """Return a random colour of poles and frames."""
    if rng.random() < 0.65:
        return hsv(rng.random(), rng.uniform(0, 0.08), rng.uniform(0.15, 0.75))
    return lacquer(rng)


def leaves(rng: np.random.Generator) -> Color:
    """Return a random colour of trees and grass: mostly green, from bluish to dry, sometimes autumnal."""
    if rng.random() < 0.12:
        return hsv(rng.uniform(0.05, 0.13), rng.uniform(0.45, 0.75), rng.uniform(0.4, 0.65))
    return hsv(rng.uniform(0.17, 0.36), rng.uniform(0.25, 0.65), rng.uniform(0.28, 0.58))
