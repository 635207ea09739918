"""The ground: asphalt with markings and patches, paving, grass, tram tracks, and the shadows on it."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from tools.streets import noise
from tools.streets.canvas import Stage
from tools.streets.light import Color, blend, hsv, leaves, masonry
from tools.streets.street import GROUND_LABELS, KERB, ROAD, SIDEWALK, TERRAIN, TRACK_BED, TRACK_GAUGE, Street

# Contrast of fine and coarse noise by kind of ground.
_FINE = np.array([0.07, 0.05, 0.2, 0.05, 0.3], np.float32)
_COARSE = np.array([0.03, 0.04, 0.12, 0.03, 0.06], np.float32)


class Ground:
    """The ground of one picture: position and kind of every pixel below the horizon."""

    def __init__(self, stage: Stage, street: Street) -> None:
        self.stage, self.street = stage, street
        self.first, self.u, self.s = stage.camera.ground()
        self.scale = stage.camera.focal / self.s  # pixels per metre
        self.kind = self._kinds()

    def paint(self) -> None:
        """Paint all of the ground, without shadows."""
        rng = self.stage.rng
        colors = np.array(_colors(rng), np.float32)
        fine = noise.lookup(noise.field(5, 8), self.u * 40 + rng.integers(512), self.s * 40)
        coarse = noise.lookup(noise.field(2, 5), self.u * 14 + rng.integers(512), self.s * 7)
        tone = 1 + _FINE[self.kind] * fine * np.clip(self.scale / 30, 0.15, 1) + _COARSE[self.kind] * coarse
        tone *= self._patches() * self._slabs()
        rgb = colors[self.kind]
        second = np.array(leaves(rng), np.float32)
        grass = self.kind == TERRAIN
        rgb[grass] += (second - colors[TERRAIN]) * np.clip(0.4 + 0.4 * coarse[grass], 0, 1)[:, None]
        self._markings(rgb, coarse)
        rgb *= (tone * self.stage.light.strength((0.0, 1.0, 0.0)))[..., None]
        canvas = self.stage.canvas
        canvas.rgb[self.first :] = np.clip(rgb, 0, 255)
        canvas.label[self.first :] = GROUND_LABELS[self.kind]
        canvas.depth[self.first :] = self.s

    def shadows(self, footprints: Iterable[tuple[np.ndarray, float]]) -> None:
        """Darken the ground under objects and in their shadows; call it before painting objects.

        Args:
            footprints: corners (N, 2) of each object as u and s, and its height in metres.
        """
        canvas, light = self.stage.canvas, self.stage.light
        cast, contact = np.zeros_like(canvas.label), np.zeros_like(canvas.label)
        slide = np.array([light.direction[0], light.direction[2]]) / light.direction[1]
        for corners, height in footprints:
            self._fill(contact, corners)
            self._fill(cast, np.vstack([corners, corners - slide * height]))
        share = light.sun * light.direction[1] / light.strength((0.0, 1.0, 0.0))
        blur = canvas.label.shape[1] / 1200
        loss = 0.9 * share * self._soft(cast, blur) + 0.45 * self._soft(contact, 3 * blur) * (1 - 0.5 * share)
        rows = canvas.rgb[self.first :]
        kept = cv2.resize(255 * (1 - np.clip(loss, 0, 0.8)), rows.shape[1::-1]).astype(np.uint8)
        cv2.multiply(rows, cv2.merge([kept] * 3), dst=rows, scale=1 / 255)

    def _fill(self, mask: np.ndarray, corners: np.ndarray) -> None:
        hull = cv2.convexHull(np.float32(corners))[:, 0]
        outline = self.stage.camera.outline(np.insert(hull, 1, 0.0, axis=1))
        if outline is not None:
            cv2.fillPoly(mask, [np.round(np.clip(outline, -30000, 30000)).astype(np.int32)], 255)

    def _soft(self, mask: np.ndarray, blur: float) -> np.ndarray:
        small = cv2.resize(mask[self.first :], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(small, (0, 0), blur) * np.float32(1 / 255)

    def _kinds(self) -> np.ndarray:
        """Return the kind of ground (rows, W) uint8 of every pixel."""
        street = self.street
        kind = np.full(self.u.shape, ROAD, np.uint8)
        for side in street.sides:
            outwards = self.u * side.sign
            for (inner, _), (_, ground) in zip(side.bands, side.bands[1:]):
                kind[outwards > inner] = ground
            kind[outwards > side.front] = side.lot
            kind[(outwards > street.half) & (outwards < street.half + 0.22)] = KERB
        if street.own_bed:
            kind[np.abs(self.u - street.track) < 1.35] = TRACK_BED
        if street.junction is not None:
            across = (self.s > street.junction[0]) & (self.s < street.junction[1])
            for sign in street.branches:
                kind[across & (self.u * sign > street.half - 3.6)] = ROAD
        return kind

    def _slabs(self) -> np.ndarray:
        """Return the tone of paving: dark joints, and slabs of slightly different brightness."""
        rng = self.stage.rng
        width, length = rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.2)
        paved, joint = self.kind == SIDEWALK, 0.045
        column, row, scale = self.u[paved] / width, self.s[paved] / length, self.scale[paved]
        line = (column % 1 < joint / width) | (row % 1 < 1.5 * joint / length)
        visible = np.clip(joint * scale - 0.3, 0, 1)
        index = noise.field(6, 8)[(row.astype(int) * 37) & 511, (np.floor(column).astype(int) * 61) & 511]
        tone = np.ones(self.kind.shape, np.float32)
        tone[paved] = (1 + 0.12 * index * np.clip(scale / 20, 0, 1)) * (1 - 0.5 * visible * line)
        return tone

    def _patches(self) -> np.ndarray:
        """Return the tone of repairs and manhole covers in the road."""
        rng, half = self.stage.rng, self.street.half
        tone = np.ones(self.u.shape, np.float32)
        for _ in range(rng.integers(0, 5)):
            u, s, width, length = rng.uniform(-half, half), rng.uniform(4, 25), rng.uniform(0.4, 2), rng.uniform(1, 6)
            tone[(np.abs(self.u - u) < width / 2) & (np.abs(self.s - s) < length / 2)] = rng.uniform(0.75, 1.15)
        for _ in range(rng.integers(0, 3)):
            u, s = rng.uniform(-half, half), rng.uniform(4, 15)
            tone[(self.u - u) ** 2 + (self.s - s) ** 2 < 0.35**2] = 0.6
        return np.where(self.kind == ROAD, tone, 1)

    def _markings(self, rgb: np.ndarray, wear: np.ndarray) -> None:
        """Paint lane lines, edge lines, a zebra crossing and rails onto the road, before lighting."""
        rng, street = self.stage.rng, self.street
        paint = (225, 190, 90) if rng.random() < 0.15 else (225, 225, 220)
        on_road = self.kind == ROAD
        if street.junction is not None:
            on_road &= (self.s < street.junction[0]) | (self.s > street.junction[1])
        lines = on_road & self._lane_lines()
        if street.zebra is not None:
            lines |= (np.abs(self.s - street.zebra) < 1.6) & (self.u % 1.0 < 0.5) & (np.abs(self.u) < street.half - 0.3)
        opacity = np.clip(0.85 + 0.12 * wear, 0.4, 0.95)[lines]
        rgb[lines] += (np.asarray(paint, np.float32) - rgb[lines]) * opacity[:, None]
        if street.track is not None:
            self._rails(rgb)

    def _lane_lines(self) -> np.ndarray:
        street, rng = self.street, self.stage.rng
        thickness = np.maximum(0.08, 0.7 / self.scale)
        period, dash = rng.uniform(5, 9), rng.uniform(0.4, 0.65)
        dashed = (self.s / period) % 1 < dash
        lines = np.zeros(self.u.shape, bool)
        for number in range(1, street.lanes):
            at = -street.half + 2 * street.half * number / street.lanes
            solid = 2 * number == street.lanes and rng.random() < 0.35
            lines |= (np.abs(self.u - at) < thickness) & (dashed | solid)
        if rng.random() < 0.5:
            lines |= np.abs(np.abs(self.u) - street.half + 0.35) < thickness
        return lines

    def _rails(self, rgb: np.ndarray) -> None:
        beside = np.abs(self.u - self.street.track)
        bed = (beside < 1.2) & (self.kind == ROAD)
        rgb[bed] *= 0.86
        thickness = np.maximum(0.06, 0.6 / self.scale)
        rail = np.abs(beside - TRACK_GAUGE / 2)
        rgb[rail < 2.2 * thickness] *= 0.6
        rgb[rail < thickness] = (172, 172, 176)


def _colors(rng: np.random.Generator) -> list[Color]:
    """Return a random colour for every kind of ground; road and paving share greys and browns."""
    asphalt = hsv(rng.choice([0.08, 0.6]), rng.uniform(0, 0.1), rng.uniform(0.28, 0.6))
    paving = blend(masonry(rng), hsv(0.1, 0.05, rng.uniform(0.35, 0.75)), 0.65)
    grass = leaves(rng) if rng.random() < 0.85 else hsv(rng.uniform(0.06, 0.12), 0.35, rng.uniform(0.35, 0.6))
    kerb = blend(paving, (215, 215, 212), 0.5)
    return [asphalt, paving, grass, kerb, hsv(0.08, 0.12, rng.uniform(0.3, 0.5))]
