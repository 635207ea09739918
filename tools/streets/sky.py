"""The sky, and the skyline at the far end of the street."""

from __future__ import annotations

import cv2
import numpy as np

from tools.streets import noise
from tools.streets.canvas import Stage
from tools.streets.light import blend, dim, hsv, leaves, masonry

_SKY, _BUILDING, _VEGETATION = 23, 11, 21


def paint_sky(stage: Stage) -> None:
    """Paint the sky above the horizon: a gradient that ends in the haze, and clouds."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    rows, width = int(np.clip(np.ceil(camera.horizon), 2, camera.height)), camera.width
    small = (rows // 2, width // 2)  # clouds are soft: half the resolution suffices
    blue = hsv(rng.uniform(0.55, 0.62), rng.uniform(0.25, 0.65), rng.uniform(0.65, 0.95))
    grey = dim(light.haze, rng.uniform(0.7, 1.0))
    top = np.asarray(blue if light.sun > 0 else blend(grey, blue, rng.uniform(0, 0.15)), np.float32)
    height = np.linspace(1, 0, small[0], dtype=np.float32)[:, None, None] ** rng.uniform(0.6, 1.2)
    sky = np.asarray(light.haze, np.float32) * (1 - height) + top * height  # to (rows / 2, 1, 3)
    # Clouds shrink towards the horizon, like the ground.
    distance = 1 / (np.linspace(1, 0, small[0], dtype=np.float32)[:, None] + 0.12)
    columns = np.linspace(-1, 1, small[1], dtype=np.float32)[None, :]
    x, y = columns * distance * 45 + rng.integers(512), np.repeat(distance * 60, small[1], axis=1)
    field = noise.lookup(noise.field(2, 7), x, y + np.float32(rng.integers(512)))
    cover = np.clip((field - rng.uniform(-0.8, 1.6)) * rng.uniform(0.5, 1.4), 0, 1)[..., None]
    cloud = np.asarray(blend((250, 250, 252), light.haze, rng.uniform(0.1, 0.5)), np.float32)
    shaded = cloud * (1 - 0.1 * np.clip(field, 0, 2)[..., None])
    picture = np.clip(sky + (shaded - sky) * cover * rng.uniform(0.5, 1.0), 0, 255).astype(np.uint8)
    canvas.rgb[:rows] = cv2.resize(picture, (width, rows))
    canvas.label[:rows] = _SKY


def paint_skyline(stage: Stage) -> None:
    """Paint a row of distant trees and houses on the horizon."""
    rng, camera = stage.rng, stage.camera
    left = -camera.half_view(110) * 1.1
    while left < camera.half_view(110) * 1.1:
        width = rng.uniform(6, 22)
        if rng.random() < 0.55:
            _far_house(stage, left, width)
        else:
            _far_trees(stage, left, width)
        left += width * rng.uniform(0.7, 1.0)


def _far_house(stage: Stage, left: float, width: float) -> None:
    rng, camera, depth = stage.rng, stage.camera, 110.0
    height = rng.uniform(5, 16)
    brush, color = stage.canvas.brush(_BUILDING, depth), masonry(rng)

    def block(x0: float, x1: float, h0: float, h1: float) -> np.ndarray:
        points = np.array([(x0, h0), (x0, h1), (x1, h1), (x1, h0)])
        scale = camera.scale(depth)
        return points * (scale, -scale) + (0.5 * camera.width, camera.horizon + camera.eye * scale)

    brush.polygon(block(left, left + width, 0, height), stage.light.shade(color))
    for floor in np.arange(1.2, height - 1.5, 3.0):
        for x in np.arange(left + 0.8, left + width - 1.2, 2.6):
            brush.polygon(block(x, x + 1.2, floor, floor + 1.5), stage.light.shade(dim(color, 0.55)))


def _far_trees(stage: Stage, left: float, width: float) -> None:
    rng, camera, scale = stage.rng, stage.camera, stage.camera.scale(110.0)
    x = np.linspace(0, width, 24)
    bumps = noise.window(rng, (1, 24), low=2, high=6, texels=64)[0]
    top = rng.uniform(4, 9) + 1.2 * bumps - 2 * (2 * x / width - 1) ** 4
    points = np.stack([np.r_[x, x[::-1]] + left, np.r_[top, np.zeros(24)]], axis=1)
    pixels = points * (scale, -scale) + (0.5 * camera.width, camera.horizon + camera.eye * scale)
    brush = stage.canvas.brush(_VEGETATION, 110.0)
    brush.polygon(pixels, stage.light.shade(dim(leaves(rng), 0.8)))


def reflect(rgb: np.ndarray, label: np.ndarray, *, horizon: float, wetness: float, offset: int) -> np.ndarray:
    """Return the photograph (H, W, 3) with the part above the horizon reflected in puddles on the road.

    Args:
        rgb: photograph, uint8 RGB.
        label: its label ids (H, W).
        horizon: row of the horizon.
        wetness: 0..1.
        offset: position in the noise field of the puddles, texels.
    """
    height, width = label.shape
    middle = int(np.clip(round(horizon), 1, height - 1))
    below = height - middle
    mirrored = cv2.blur(rgb[:middle][::-1], (max(1, width // 200), max(1, height // 12)))  # blurred by ripples
    mirrored = cv2.resize(mirrored, (width, below))
    part = np.roll(noise.field(2, 5), offset, axis=1)[: 512 // 2]
    puddles = np.clip(cv2.resize(part, (width, below)) * 0.8 + 0.7, 0.25, 1)
    share = 0.5 * wetness * puddles * (label[middle:] == 7)
    rgb = rgb.copy()
    rgb[middle:] = rgb[middle:] * (1 - share[..., None]) * (1 - 0.12 * wetness) + mirrored * share[..., None]
    return rgb
