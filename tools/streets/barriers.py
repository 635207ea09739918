"""Walls, fences and hedges along the street."""

from __future__ import annotations

import cv2
import numpy as np

from tools.streets import noise
from tools.streets.buildings import pixels_per_metre, upright
from tools.streets.canvas import Stage
from tools.streets.light import Color, dim, hsv, lacquer, leaves, masonry, usual
from tools.streets.materials import KINDS, fill, masonry_texture

_WALL, _FENCE, _VEGETATION = 12, 13, 21
_RGBA = 4


def draw_wall(stage: Stage, u: float, span: tuple[float, float], height: float) -> None:
    """Draw a free-standing wall at `u` over `span` (s of its ends): stone without windows, with a cap and pillars."""
    rng = stage.rng
    length, color = span[1] - span[0], usual(rng, "wall", masonry)
    kind = KINDS[rng.choice(len(KINDS), p=[0.05, 0.2, 0.1, 0.65])]
    ppm = pixels_per_metre(stage, u, span[0], max(length, height))
    texture = masonry_texture(rng, kind, color, size=(height, length), ppm=ppm)
    for x in np.arange(0, length, rng.uniform(2.2, 3.5)):
        fill(texture, ppm, (x, 0, x + 0.45, height), dim(color, 1.15))
        fill(texture, ppm, (x + 0.45, 0, x + 0.55, height), dim(color, 0.55))
    if rng.random() < 0.3:
        _graffiti(rng, texture, (length, height), ppm)
    fill(texture, ppm, (0, height - 0.25, length, height), dim(color, 0.7))
    fill(texture, ppm, (0, 0, length, 0.18), dim(color, 1.25))
    fill(texture, ppm, (0, 0.18, length, 0.24), dim(color, 0.6))
    sign = 1 if u > 0 else -1
    brightness = stage.light.strength((-sign, 0.0, 0.0))
    texture = cv2.convertScaleAbs(texture, alpha=brightness)
    # The end of the wall that faces the camera.
    near, back = span[0], u + sign * 0.4
    end = np.array([(u, 0, near), (u, height, near), (back, height, near), (back, 0, near)])
    stage.canvas.brush(_WALL, span[0]).polygon(stage.camera.outline(end), stage.light.shade(color))
    upright(stage, u, span, (0.0, height), texture=texture, label_id=_WALL)


def _graffiti(rng: np.random.Generator, texture: np.ndarray, size: tuple[float, float], ppm: float) -> None:
    """Spray letters onto a wall of `size` (length, height)."""
    left, color = rng.uniform(0, size[0] * 0.7), lacquer(rng)
    for _ in range(rng.integers(4, 9)):
        wide = rng.uniform(0.25, 0.5)
        for _ in range(3):
            x, y = left + rng.uniform(0, wide), rng.uniform(0.35, 0.6) * size[1]
            if rng.random() < 0.5:
                fill(texture, ppm, (x, y, x + 0.12, y + 0.3 * size[1]), color)
            else:
                fill(texture, ppm, (left, y, left + wide, y + 0.12), color)
        left += wide + 0.12


def draw_fence(stage: Stage, u: float, span: tuple[float, float], height: float) -> None:
    """Draw a fence at `u`: bars, a mesh or pickets; the background is visible through it, but labelled as fence."""
    rng = stage.rng
    length = span[1] - span[0]
    ppm = pixels_per_metre(stage, u, span[0], max(length, height))
    texture = np.zeros((max(2, round(height * ppm)), max(2, round(length * ppm)), _RGBA), np.uint8)
    kind = rng.choice(["bars", "mesh", "pickets"], p=[0.45, 0.2, 0.35])
    wood = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.2, 0.5), rng.uniform(0.35, 0.7))
    color = usual(rng, "fence")
    if kind == "pickets" and rng.random() < 0.5:
        color = wood
    color = stage.light.shade(color, (-np.sign(u), 0.0, 0.0))
    paint = _Strokes(texture, ppm, color)
    if kind == "mesh":
        paint.mesh()
    bar, gap = {"bars": (0.09, 0.26), "mesh": (0.06, 1.25), "pickets": (0.17, 0.3)}[kind]
    for x in np.arange(0, length, gap):
        paint.box((x, 0.06), (x + bar, height))
    for y in (0.12, height - 0.3) if kind != "mesh" else (0.0, height - 0.12):
        paint.box((0, y), (length, y + 0.12))
    for x in np.arange(0, length, 2.5):
        paint.box((x, 0), (x + 0.17, height))
    upright(stage, u, span, (0.0, height), texture=texture, label_id=_FENCE)


class _Strokes:
    """Paint the bars of a fence onto a texture that is otherwise transparent."""

    def __init__(self, texture: np.ndarray, ppm: float, color: Color) -> None:
        self.texture, self.ppm, self.color = texture, ppm, color
        self.texture[..., :3] = np.asarray(dim(color, 0.9), np.uint8)

    def box(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Paint a bar given by its upper left and lower right corner, in metres from the fence's upper left."""
        (left, top), (right, bottom) = start, end
        part = np.s_[
            max(0, round(top * self.ppm)) : max(round(top * self.ppm) + 1, round(bottom * self.ppm)),
            max(0, round(left * self.ppm)) : max(round(left * self.ppm) + 1, round(right * self.ppm)),
        ]
        self.texture[part] = (*(int(value) for value in self.color), 255)

    def mesh(self) -> None:
        """Paint crossing wires over the whole fence; wires finer than a pixel become a translucent layer."""
        rows, columns = np.indices(self.texture.shape[:2]) / self.ppm
        pitch = max(0.18, 5 / self.ppm)
        wires = ((rows + columns) % pitch < pitch * 0.22) | ((rows - columns) % pitch < pitch * 0.22)
        self.texture[..., 3] = np.where(wires, 240, 40)


def draw_hedge(stage: Stage, u: float, span: tuple[float, float], height: float) -> None:
    """Draw a clipped hedge at `u` with an uneven upper edge."""
    rng = stage.rng
    length = span[1] - span[0]
    ppm = min(pixels_per_metre(stage, u, span[0], max(length, height)), 60)
    rows, columns = max(3, round(height * ppm)), max(3, round(length * ppm))
    clumps = noise.window(rng, (rows, columns), low=4, high=8, texels=200)
    color = leaves(rng)
    falloff = np.linspace(1.2, 0.65, rows, dtype=np.float32)[:, None]
    tone = falloff * (1 + 0.22 * clumps) * stage.light.strength((-np.sign(u) * 0.8, 0.6, 0.0))
    texture = np.clip(np.asarray(color, np.float32) * tone[..., None], 0, 255).astype(np.uint8)
    sign = 1 if u > 0 else -1
    ends = [(u, 0, span[0]), (u, height, span[0]), (u + sign * 0.9, height, span[0]), (u + sign * 0.9, 0, span[0])]
    brush = stage.canvas.brush(_VEGETATION, span[0])
    brush.polygon(stage.camera.outline(np.array(ends)), stage.light.shade(dim(color, 0.8)))
    upright(stage, u, span, (0.0, height), texture=texture, label_id=_VEGETATION)
