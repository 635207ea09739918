"""Trees and bushes: clumps of leaves with an outline of fractal noise."""

from __future__ import annotations

import numpy as np

from tools.streets import noise
from tools.streets.canvas import Sprite, Stage
from tools.streets.light import Color, dim, hsv, leaves

_VEGETATION = 21


def draw_tree(stage: Stage, place: tuple[float, float], height: float) -> None:
    """Draw a tree of `height` metres: a trunk with branches, and a crown; both are labelled vegetation."""
    rng = stage.rng
    sprite = Sprite(stage, place, _VEGETATION)
    bark = hsv(rng.uniform(0.05, 0.12), rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.45))
    conifer = rng.random() < 0.15
    crown = height * (0.8 if conifer else rng.uniform(0.55, 0.72))
    width = height * (0.45 if conifer else rng.uniform(0.55, 0.85))
    trunk = max(0.14, height * 0.035)
    lean = rng.normal(0, 0.15)
    sprite.limb([(0, 0), (lean * 0.5, height * 0.3), (lean, height * 0.6)], trunk, bark)
    for side in (-1, 1):
        branch = [(lean * 0.7, height * 0.38), (lean + side * width * 0.25, height * 0.62)]
        sprite.limb(branch, trunk * 0.5, dim(bark, 0.85))
    _crown(sprite, (lean, height - crown / 2), (width / 2, crown / 2), conifer=conifer)


def draw_bush(stage: Stage, place: tuple[float, float], height: float) -> None:
    """Draw a bush of `height` metres on the ground."""
    sprite = Sprite(stage, place, _VEGETATION)
    width = height * stage.rng.uniform(0.8, 1.6)
    _crown(sprite, (0.0, height * 0.47), (width / 2, height * 0.55), conifer=False)


def _crown(sprite: Sprite, center: tuple[float, float], radius: tuple[float, float], *, conifer: bool) -> None:
    """Draw leaves within an uneven ellipse, or a cone, with `radius` in metres."""
    stage, canvas = sprite.stage, sprite.stage.canvas
    middle = sprite.pixels([center])[0]
    reach = np.array(radius) * sprite.scale * 1.25
    window = canvas.window(np.array([middle - reach, middle + reach]))
    color = leaves(stage.rng)
    offsets = stage.rng.integers(0, noise.SIZE, 2)
    if window is None:
        return
    y, x = (np.arange(part.start, part.stop, dtype=np.float32) for part in window)
    across = ((x - middle[0]) / (radius[0] * sprite.scale))[None, :]
    up = ((middle[1] - y) / (radius[1] * sprite.scale))[:, None]
    # Clumps have the same size in metres on large and small trees: 30 texels per metre.
    texels = np.broadcast_arrays(across * radius[0] * 30 + offsets[0], up * radius[1] * 30 + offsets[1])
    texels = [np.ascontiguousarray(part, np.float32) for part in texels]
    clumps = 0.75 * noise.lookup(noise.field(4, 6), *texels) + 0.6 * noise.lookup(noise.field(7, 8), *texels)
    distance = np.abs(across) + 0.5 * (up + 1) + 0.15 if conifer else np.sqrt(across**2 + up**2)
    mask = distance + 0.13 * clumps < 0.95
    rgb = _lit_leaves(stage, color, clumps, across * np.sign(stage.light.direction[0]) * 0.5 + up)
    sprite.brush.stamp(window, rgb, mask)


def _lit_leaves(stage: Stage, color: Color, clumps: np.ndarray, towards_sun: np.ndarray) -> np.ndarray:
    """Return the colour (h, w, 3) of leaves: clumps catch the light, the side away from the sun is dark."""
    tone = 0.85 + 0.24 * clumps + (0.12 + 0.3 * stage.light.sun) * towards_sun
    fresh = np.array([1.12, 1.05, 0.85], np.float32) ** np.clip(clumps, -1, 2)[..., None]
    shade = np.asarray(stage.light.shade(color, (0.0, 0.7, -0.7)), np.float32)
    return shade * np.clip(tone, 0.25, 1.7)[..., None] * fresh
