"""Houses along the street: facades with floors of windows, doors and shops, gables and roofs."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tools.streets.canvas import Stage
from tools.streets.light import Color, blend, dim, hsv, lacquer, masonry
from tools.streets.materials import KINDS, fill, masonry_texture
from tools.streets.solids import glass

_BUILDING = 11
_MOST_PIXELS = 560  # limit for the side of a texture


@dataclass(frozen=True)
class Facade:
    """A front along the street at `u`, from `start` to `end`, `height` metres high; `roof` is its rise in metres."""

    u: float
    start: float
    end: float
    height: float
    roof: float


def pixels_per_metre(stage: Stage, u: float, start: float, extent: float) -> float:
    """Return the resolution needed by the nearest visible part of an upright plane along the street."""
    camera = stage.camera
    nearest = max(start, abs(u - camera.offset) * camera.focal / (0.5 * camera.width) * 0.9)
    return float(np.clip(camera.scale(nearest), 4, _MOST_PIXELS / extent))


def draw_house(stage: Stage, facade: Facade) -> None:
    """Draw roof, the gable that faces the camera, and the front."""
    rng, light = stage.rng, stage.light
    wall, kind = masonry(rng), KINDS[rng.choice(3, p=[0.55, 0.27, 0.18])]
    sign = 1 if facade.u > 0 else -1
    height = facade.height
    if facade.roof > 0:
        tiles = hsv(rng.uniform(0.0, 0.08), rng.uniform(0.05, 0.6), rng.uniform(0.25, 0.6))
        eaves, ridge = facade.u, facade.u + sign * 4.0
        top = height + facade.roof
        near, far = facade.start, facade.end
        outline = [(eaves, height, near), (ridge, top, near), (ridge, top, far), (eaves, height, far)]
        normal = np.array([-sign * facade.roof, 4.0, 0.0]) / np.hypot(facade.roof, 4.0)
        brush = stage.canvas.brush(_BUILDING, (facade.start + facade.end) / 2)
        brush.polygon(stage.camera.outline(np.array(outline)), light.shade(tiles, normal))
    _gable(stage, facade, wall, kind)
    ppm = pixels_per_metre(stage, facade.u, facade.start, max(height, facade.end - facade.start))
    texture = masonry_texture(rng, kind, wall, size=(height, facade.end - facade.start), ppm=ppm)
    _Front(stage, facade, wall, (texture, ppm)).paint()
    brightness = light.strength((-sign, 0.0, 0.0))
    texture = cv2.convertScaleAbs(texture, alpha=brightness)
    upright(stage, facade.u, (facade.start, facade.end), (0.0, height), texture=texture, label_id=_BUILDING)


def upright(  # noqa: PLR0913 - the four edges of a rectangle and what is in it
    stage: Stage,
    u: float,
    span: tuple[float, float],
    rise: tuple[float, float],
    *,
    texture: np.ndarray,
    label_id: int,
) -> None:
    """Paint a texture onto an upright plane along the street; its left edge is the nearer one.

    Args:
        stage: the stage to paint on.
        u: position of the plane.
        span: s of its near and far edge, both in front of the camera.
        rise: height of its lower and upper edge.
        texture: (h, w, 3) or (h, w, 4) uint8.
        label_id: label id of the plane.
    """
    (near, far), (low, high) = span, rise
    corners = np.array([(u, high, near), (u, high, far), (u, low, far), (u, low, near)])
    pixels = stage.camera.project(corners)
    stage.canvas.brush(label_id, near).warp(pixels, texture, (near, far))


def _gable(stage: Stage, facade: Facade, wall: Color, kind: str) -> None:
    """Draw the side wall that faces the camera; a nearer house may cover it later."""
    rng, light, height = stage.rng, stage.light, facade.height
    sign = 1 if facade.u > 0 else -1
    depth = 8.0
    outer = facade.u + sign * depth
    brush = stage.canvas.brush(_BUILDING, facade.start)
    color = light.shade(dim(wall, 0.96), (0.0, 0.0, -1.0))
    middle = facade.u + sign * depth / 2
    outline = [(facade.u, 0), (facade.u, height), (middle, height + facade.roof), (outer, height), (outer, 0)]
    camera = stage.camera
    brush.polygon(camera.outline(np.array([(u, h, facade.start) for u, h in outline])), color)
    if kind == "concrete" or rng.random() < 0.3:
        return
    pane = light.shade(glass(stage))
    for floor in np.arange(3.6, height - 1.6, 3.0):
        for share in (0.25, 0.65):
            u0, u1 = facade.u + sign * depth * share, facade.u + sign * (depth * share + 1.1)
            corners = [(u0, floor), (u0, floor + 1.5), (u1, floor + 1.5), (u1, floor)]
            brush.polygon(camera.outline(np.array([(u, h, facade.start) for u, h in corners])), pane)


class _Front:
    """Paint windows, doors and shops onto the texture of a front."""

    def __init__(self, stage: Stage, facade: Facade, wall: Color, canvas: tuple[np.ndarray, float]) -> None:
        self.stage, self.rng = stage, stage.rng
        self.texture, self.ppm = canvas
        self.width, self.height = facade.end - facade.start, facade.height
        rng = self.rng
        self.wall = wall
        self.frame = blend((240, 240, 238), dim(wall, 0.5), rng.choice([0.0, 1.0]) * 0.8)
        self.sill = dim(wall, rng.choice([0.7, 1.2]))
        self.pane = glass(stage, 0.6)
        self.window = (rng.uniform(0.9, 1.7), rng.uniform(1.3, 1.8))  # width, height
        self.bay = self.window[0] + rng.uniform(0.6, 1.4)
        self.ground = rng.uniform(3.2, 4.0)
        self.style = rng.choice(["plain", "balcony", "strip"], p=[0.6, 0.2, 0.2])

    def box(self, start: tuple[float, float], end: tuple[float, float], color: Color) -> None:
        """Paint a rectangle given by its upper left and lower right corner, in metres from the front's upper left."""
        fill(self.texture, self.ppm, (*start, *end), color)

    def paint(self) -> None:
        """Paint floors from the top, then the ground floor and the cornice."""
        floor = self.height - self.ground
        while floor > 2.2:
            self._floor(floor)
            floor -= 3.0
        shop = self.rng.random() < 0.5
        self._shops() if shop else self._ground_floor()
        self.box((0, 0), (self.width, 0.35), self.sill)
        if self.rng.random() < 0.5:
            self.box((0, self.height - self.ground - 0.2), (self.width, self.height - self.ground), self.sill)

    def _floor(self, bottom: float) -> None:
        """Paint a floor of windows whose floor level is `bottom` metres below the upper edge."""
        wide, high = self.window
        top = bottom - 0.75 - high
        if self.style == "strip":
            self.box((0.4, top), (self.width - 0.4, top + high), self.pane)
        for left in self._bays():
            if self.style != "strip":
                self.box((left - 0.1, top - 0.1), (left + wide + 0.1, top + high + 0.1), self.frame)
            self.box((left, top), (left + wide, top + high), self._pane())
            self.box((left + wide / 2 - 0.04, top), (left + wide / 2 + 0.04, top + high), self.frame)
            if self.style == "balcony":
                self.box((left - 0.25, bottom - 0.95), (left + wide + 0.25, bottom - 0.1), dim(self.sill, 0.85))
            elif self.style == "plain":
                self.box((left - 0.15, top + high + 0.08), (left + wide + 0.15, top + high + 0.22), self.sill)

    def _bays(self) -> np.ndarray:
        """Return the left edges of the windows of a floor."""
        count = max(1, int((self.width - 0.6) / self.bay))
        margin = (self.width - count * self.bay) / 2 + (self.bay - self.window[0]) / 2
        return margin + self.bay * np.arange(count)

    def _pane(self) -> Color:
        """Return the colour of a pane: dark glass, a curtain, or a lamp that is on."""
        draw = self.rng.random()
        if draw < 0.15:
            return (225, 220, 205)
        return (250, 225, 150) if draw < 0.2 else dim(self.pane, self.rng.uniform(0.75, 1.25))

    def _shops(self) -> None:
        """Paint shop windows with a sign above each, and doors between."""
        left, top = 0.3, self.height - self.ground
        while left < self.width - 2:
            wide = min(self.rng.uniform(3, 6), self.width - left - 0.3)
            color = lacquer(self.rng)
            self.box((left, top + 0.3), (left + wide, top + 1.0), color)
            letters = blend(color, (250, 250, 245), 0.8)
            self.box((left + 0.2 * wide, top + 0.5), (left + 0.75 * wide, top + 0.8), letters)
            self.box((left, top + 1.1), (left + wide, self.height - 0.3), dim(color, 0.6))
            goods = blend(self.pane, (200, 190, 160), 0.25)
            self.box((left + 0.12, top + 1.2), (left + wide - 1.2, self.height - 0.6), goods)
            self.box((left + wide - 1.05, top + 1.2), (left + wide - 0.12, self.height - 0.05), dim(self.pane, 0.8))
            if self.rng.random() < 0.4:
                self._awning(left, left + wide, top + 1.0)
            left += wide + 0.4

    def _awning(self, left: float, right: float, top: float) -> None:
        colors = (lacquer(self.rng), (235, 235, 230))
        for number, x in enumerate(np.arange(left, right - 0.2, 0.45)):
            self.box((x, top), (min(x + 0.45, right), top + 0.7), colors[number % 2])

    def _ground_floor(self) -> None:
        """Paint windows and a door at street level."""
        bottom = self.height
        if self.rng.random() < 0.5:
            self.box((0, bottom - 0.7), (self.width, bottom), dim(self.wall, 0.7))
        self._floor(bottom - 0.3)
        left = self.rng.uniform(0.3, max(0.4, self.width - 1.6))
        self.box((left - 0.12, bottom - 2.6), (left + 1.22, bottom), self.frame)
        self.box((left, bottom - 2.45), (left + 1.1, bottom), dim(lacquer(self.rng), 0.8))
