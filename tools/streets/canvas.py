"""The canvas of a scene: photograph, label ids and the distance of every pixel, painted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from tools.streets.camera import FAR, Camera
from tools.streets.light import Color, Light

_SHIFT = 4  # bits of sub-pixel positions


class Canvas:
    """Photograph `rgb` (H, W, 3) uint8, `label` (H, W) uint8 label ids and `depth` (H, W) float32 in metres."""

    def __init__(self, height: int, width: int) -> None:
        self.rgb = np.zeros((height, width, 3), np.uint8)
        self.label = np.zeros((height, width), np.uint8)
        self.depth = np.full((height, width), FAR, np.float32)

    def brush(self, label_id: int, depth: float) -> Brush:
        """Return a brush for one object, which paints over what is there."""
        return Brush(self, label_id, depth)

    def window(self, points: np.ndarray) -> tuple[slice, slice] | None:
        """Return the rows and columns spanned by points (N, 2) within the canvas; None if they are outside."""
        height, width = self.label.shape
        left, top = np.floor(points.min(axis=0)).astype(int)
        right, bottom = np.ceil(points.max(axis=0)).astype(int) + 1
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


class Brush:
    """Paint shapes given in pixels with one label id and one distance."""

    def __init__(self, canvas: Canvas, label_id: int, depth: float) -> None:
        self.canvas, self.label_id, self.depth = canvas, label_id, depth

    def polygon(self, points: np.ndarray | None, color: Sequence[float]) -> None:
        """Fill a polygon (N, 2); None, for a polygon behind the camera, does nothing."""
        if points is None:
            return
        corners = [_fixed(points)]
        cv2.fillPoly(self.canvas.rgb, corners, color, shift=_SHIFT)
        cv2.fillPoly(self.canvas.label, corners, self.label_id, shift=_SHIFT)
        cv2.fillPoly(self.canvas.depth, corners, self.depth, shift=_SHIFT)

    def stroke(self, points: np.ndarray, color: Sequence[float], width: float, *, closed: bool = False) -> None:
        """Draw a line (N, 2) of `width` pixels with round ends, at least one pixel wide."""
        lines, thickness = [_fixed(points)], max(1, round(width))
        cv2.polylines(self.canvas.rgb, lines, closed, color, thickness, shift=_SHIFT)
        cv2.polylines(self.canvas.label, lines, closed, self.label_id, thickness, shift=_SHIFT)
        cv2.polylines(self.canvas.depth, lines, closed, self.depth, thickness, shift=_SHIFT)

    def veil(self, points: np.ndarray, color: Sequence[float], opacity: float) -> None:
        """Fill a translucent polygon; its pixels are labelled as the object."""
        window = self.canvas.window(points)
        if window is None:
            return
        mask = np.zeros(self.canvas.label[window].shape, np.uint8)
        cv2.fillPoly(mask, [_fixed(points - (window[1].start, window[0].start))], 1, shift=_SHIFT)
        self.stamp(
            window,
            np.broadcast_to(np.asarray(color, np.float32), (*mask.shape, 3)),
            mask > 0,
            mask * np.float32(opacity),
        )

    def stamp(
        self, window: tuple[slice, slice], rgb: np.ndarray, mask: np.ndarray, opacity: np.ndarray | None = None
    ) -> None:
        """Paint a picture (h, w, 3) over a window where `mask` (h, w) is set, with `opacity` (h, w) in 0..1."""
        target = self.canvas.rgb[window]
        if opacity is not None:
            rgb = target + (rgb - target.astype(np.float32)) * opacity[..., None]
        if rgb.dtype != np.uint8:
            rgb = np.clip(rgb, 0, 255).astype(np.uint8)
        np.copyto(target, rgb, where=mask[..., None])
        np.copyto(self.canvas.label[window], np.uint8(self.label_id), where=mask)
        np.copyto(self.canvas.depth[window], np.float32(self.depth), where=mask)

    def warp(self, corners: np.ndarray, texture: np.ndarray, depths: tuple[float, float]) -> None:
        """Paint a texture (h, w, 3) or, with opacity, (h, w, 4) uint8 onto an upright rectangle in perspective.

        Args:
            corners: pixels (4, 2) of the texture's upper left, upper right, lower right and lower left corner.
            texture: RGB, optionally with the opacity 0..255 as fourth channel.
            depths: metres of the left and of the right edge.
        """
        window = self.canvas.window(corners)
        if window is None:
            return
        height, width = texture.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        local = np.asarray(corners - (window[1].start, window[0].start), np.float32)
        matrix = cv2.getPerspectiveTransform(source, local)
        size = self.canvas.label[window].shape
        patch = cv2.warpPerspective(texture, matrix, size[::-1], borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros(size, np.uint8)
        cv2.fillPoly(mask, [_fixed(local)], 1, shift=_SHIFT)
        inside = mask > 0
        opacity = patch[..., 3] * np.float32(1 / 255) if texture.shape[2] == 4 else None
        self.stamp(window, patch[..., :3], inside, opacity)
        columns = np.linspace(0, 1, size[1], dtype=np.float32)
        ends = (local[0, 0], local[1, 0])
        share = np.clip((columns * size[1] - ends[0]) / ((ends[1] - ends[0]) or 1.0), 0, 1)
        distance = 1 / ((1 - share) / depths[0] + share / depths[1])
        np.copyto(self.canvas.depth[window], distance.astype(np.float32), where=inside)


@dataclass(frozen=True)
class Stage:
    """Context for drawing an object: canvas, camera, light and random numbers."""

    canvas: Canvas
    camera: Camera
    light: Light
    rng: np.random.Generator


class Sprite:
    """Draw on an upright plane that faces the camera, in metres: x to the right, y up, from a point on the ground."""

    def __init__(self, stage: Stage, place: tuple[float, float], label_id: int, *, squash: float = 1.0) -> None:
        """Place the plane at `place` (u, s); `squash` narrows shapes, as if turned, and mirrors them if negative."""
        self.stage, self.place, self.squash = stage, place, squash
        self.scale = stage.camera.scale(place[1])
        self.origin = stage.camera.project(np.array([[place[0], 0.0, place[1]]]))[0]
        self.brush = stage.canvas.brush(label_id, place[1])

    def pixels(self, points: ArrayLike) -> np.ndarray:
        """Return the pixels of points (N, 2) in metres."""
        return self.origin + np.asarray(points, float) * (self.scale * self.squash, -self.scale)

    def shape(self, points: ArrayLike, color: Color) -> None:
        """Fill a polygon."""
        self.brush.polygon(self.pixels(points), self.stage.light.shade(color))

    def box(self, low: tuple[float, float], high: tuple[float, float], color: Color) -> None:
        """Fill an upright rectangle given by its lower left and upper right corner."""
        (left, bottom), (right, top) = low, high
        self.shape([(left, bottom), (left, top), (right, top), (right, bottom)], color)

    def limb(self, points: ArrayLike, width: float, color: Color) -> None:
        """Draw a line with round ends, `width` in metres."""
        self.brush.stroke(self.pixels(points), self.stage.light.shade(color), width * self.scale)

    def disc(self, center: tuple[float, float], radius: float | tuple[float, float], color: Color) -> None:
        """Fill a circle or an ellipse."""
        self.shape(circle(center, radius), color)

    def ring(
        self, center: tuple[float, float], radius: float | tuple[float, float], width: float, color: Color
    ) -> None:
        """Draw a circle or an ellipse."""
        points = self.pixels(circle(center, radius))
        self.brush.stroke(points, self.stage.light.shade(color), width * self.scale, closed=True)

    def veil(self, points: ArrayLike, color: Color, opacity: float) -> None:
        """Fill a translucent polygon."""
        self.brush.veil(self.pixels(points), self.stage.light.shade(color), opacity)


def circle(center: tuple[float, float], radius: float | tuple[float, float], corners: int = 18) -> np.ndarray:
    """Return a polygon (corners, 2) for a circle or an ellipse."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.asarray(center) + np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(points) * 2**_SHIFT).astype(np.int32)
