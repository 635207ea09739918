"""Turn a painted scene into a photograph: haze, exposure, lens and noise of the camera."""

from __future__ import annotations

import cv2
import numpy as np

from tools.streets.camera import FAR
from tools.streets.canvas import Stage
from tools.streets.sky import reflect

_SKY = 23


def develop(stage: Stage, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the photograph (H, W, 3) uint8 RGB and the label ids (H, W) uint8, smaller than the canvas by `factor`."""
    canvas, light, rng = stage.canvas, stage.light, stage.rng
    rgb = canvas.rgb
    if light.wetness > 0:
        offset = int(rng.integers(512))
        rgb = reflect(rgb, canvas.label, horizon=stage.camera.horizon, wetness=light.wetness, offset=offset)
    clear = np.exp(-light.density * np.minimum(canvas.depth, FAR))
    clear[canvas.label == _SKY] = 1
    size = (canvas.label.shape[1] // factor, canvas.label.shape[0] // factor)
    image = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    clear = cv2.resize(clear, size, interpolation=cv2.INTER_AREA)[..., None]
    image = image * clear + np.asarray(light.haze, np.float32) * (1 - clear)
    image = _expose(image * np.asarray(light.tint, np.float32), rng)
    label = np.ascontiguousarray(canvas.label[factor // 2 :: factor, factor // 2 :: factor])
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), label


def _expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply saturation, contrast, exposure, vignette, blur and noise to a (H, W, 3) float32 image."""
    height, width = image.shape[:2]
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.75, 1.15)
    image = (image - 110) * rng.uniform(0.9, 1.2) + 110 * rng.uniform(0.94, 1.2)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    image *= (1 - rng.uniform(0, 0.16) * (x * x + y * y))[..., None]
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.6) * width / 512)
    spread = rng.uniform(1, 4.5)
    # The noise comes last, because the number of values drawn depends on the size of the picture.
    return image + spread * rng.standard_normal((height, width, 3), dtype=np.float32)
