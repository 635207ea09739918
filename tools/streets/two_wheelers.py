"""Bicycles and motorcycles, parked or ridden."""

from __future__ import annotations

import numpy as np

from tools.streets.canvas import Sprite, Stage, circle
from tools.streets.light import dim, lacquer, usual
from tools.streets.people import draw_rider, draw_rider_ahead

_RIDER, _MOTORCYCLE, _BICYCLE = 25, 32, 33
_BLACK, _STEEL = (26, 26, 28), (165, 166, 170)


def random_squash(rng: np.random.Generator) -> float:
    """Return a random factor for the narrowing of a two-wheeler turned from the side view, negative if mirrored."""
    return float(rng.choice([-1, 1]) * rng.uniform(0.55, 1.0))


def draw_bicycle(stage: Stage, place: tuple[float, float], *, squash: float, ridden: bool) -> None:
    """Draw a bicycle from the side, narrowed to `squash` (negative: mirrored), with or without its rider."""
    rng = stage.rng
    frame, color = Sprite(stage, place, _BICYCLE, squash=squash), usual(rng, "bicycle")
    rear, front, radius = (-0.53, 0.35), (0.53, 0.35), 0.34
    for hub in (rear, front):
        _spoked_wheel(frame, hub, radius)
    crank, saddle, head = (-0.06, 0.3), (-0.2, 0.88), (0.36, 0.86)
    frame.veil([rear, saddle, head, crank], color, 0.35)
    for line in ([rear, crank, head], [rear, saddle, crank], [saddle, head], [front, head, (0.32, 1.0)]):
        frame.limb(line, 0.055, color)
    frame.limb([(0.22, 1.04), (0.44, 1.02)], 0.05, _BLACK)
    frame.limb([(-0.33, 0.93), (-0.08, 0.93)], 0.08, _BLACK)
    frame.disc(crank, 0.1, dim(color, 0.4))
    if rng.random() < 0.35:
        frame.shape([(-0.8, 0.7), (-0.8, 0.95), (-0.4, 0.95), (-0.45, 0.7)], lacquer(rng))  # a basket
    if ridden:
        sprite = Sprite(stage, place, _RIDER, squash=squash)
        turn = rng.uniform(-0.1, 0.1)
        joints = {"hip": (-0.2, 0.98), "shoulder": (0.08 + turn, 1.46), "hand": (0.36, 1.05)}
        draw_rider(sprite, rng, {**joints, "knee": (0.14, 0.72 - turn), "foot": (-0.02, 0.24 - turn)}, helmet=False)


def _spoked_wheel(frame: Sprite, hub: tuple[float, float], radius: float) -> None:
    frame.veil(circle(hub, radius), (120, 120, 122), 0.3)
    if frame.scale > 40:
        for angle in np.arange(0, np.pi, np.pi / 5):
            step = np.array([np.cos(angle), np.sin(angle)]) * radius
            frame.limb([hub - step, hub + step], 0.008, _STEEL)
    frame.ring(hub, radius, 0.06, _BLACK)
    frame.disc(hub, 0.05, _STEEL)


def draw_bicycle_ahead(stage: Stage, place: tuple[float, float]) -> None:
    """Draw a bicycle with its rider from the front or back: one narrow wheel below, a handlebar, two legs."""
    rng = stage.rng
    frame, color = Sprite(stage, place, _BICYCLE), usual(rng, "bicycle")
    frame.shape(circle((0.0, 0.36), (0.07, 0.36)), _BLACK)
    frame.disc((0.0, 0.36), (0.03, 0.28), _STEEL)
    frame.limb([(0, 0.6), (0, 1.0)], 0.09, color)
    frame.box((-0.16, 0.55), (0.16, 0.64), dim(color, 0.8))
    draw_rider_ahead(Sprite(stage, place, _RIDER), rng, 1.0, helmet=False)
    frame.limb([(-0.3, 1.06), (0.3, 1.06)], 0.07, _BLACK)


def draw_motorcycle(stage: Stage, place: tuple[float, float], *, squash: float, ridden: bool) -> None:
    """Draw a motorcycle or a scooter from the side, narrowed to `squash` (negative: mirrored)."""
    rng = stage.rng
    body, color = Sprite(stage, place, _MOTORCYCLE, squash=squash), usual(rng, "motorcycle")
    is_scooter = rng.random() < 0.4
    radius = 0.26 if is_scooter else 0.32
    for hub in ((-0.68, radius), (0.72, radius)):
        body.disc(hub, radius, _BLACK)
        body.disc(hub, radius * 0.6, _STEEL)
        body.disc(hub, radius * 0.42, (60, 60, 64))
    (_scooter if is_scooter else _motorcycle)(body, color)
    body.limb([(0.42, 1.08), (0.3, 1.06)], 0.07, _BLACK)
    body.limb([(0.45, 1.05), (0.4, 1.3)], 0.03, _BLACK)
    body.disc((0.38, 1.32), (0.06, 0.05), _BLACK)
    if ridden:
        sprite = Sprite(stage, place, _RIDER, squash=squash)
        joints = {"hip": (-0.2, 0.92), "shoulder": (-0.02, 1.44), "hand": (0.34, 1.06)}
        draw_rider(sprite, rng, {**joints, "knee": (0.16, 0.74), "foot": (0.06, 0.34)}, helmet=True)


def _motorcycle(body: Sprite, color: tuple) -> None:
    body.limb([(0.72, 0.32), (0.45, 1.0)], 0.09, _STEEL)
    body.shape([(-0.35, 0.3), (-0.4, 0.62), (0.4, 0.62), (0.35, 0.28)], (70, 71, 75))  # the engine
    body.disc((0.05, 0.45), (0.2, 0.16), (105, 106, 110))
    body.limb([(0.1, 0.3), (-0.75, 0.36)], 0.1, _STEEL)
    body.shape([(-0.85, 0.82), (-0.8, 0.7), (-0.2, 0.62), (0.05, 0.8), (-0.2, 0.86)], _BLACK)  # the seat
    body.shape([(-0.95, 0.86), (-0.6, 0.62), (-0.2, 0.66), (-0.5, 0.8)], color)
    body.shape([(-0.1, 0.68), (-0.08, 0.9), (0.2, 1.0), (0.45, 0.92), (0.4, 0.66)], color)  # the tank
    body.shape([(0.4, 0.7), (0.42, 1.02), (0.62, 0.95), (0.6, 0.72)], dim(color, 0.8))
    body.disc((0.6, 0.88), 0.1, (235, 232, 215))
    body.shape([(0.4, 0.6), (0.55, 0.72), (0.9, 0.7), (1.0, 0.55), (0.72, 0.64)], color)  # the mudguard


def _scooter(body: Sprite, color: tuple) -> None:
    body.shape([(-0.95, 0.5), (-0.85, 0.78), (-0.2, 0.74), (-0.1, 0.3), (-0.6, 0.34)], color)
    body.shape([(-0.85, 0.78), (-0.8, 0.88), (-0.15, 0.84), (-0.18, 0.74)], _BLACK)
    body.shape([(-0.2, 0.24), (-0.2, 0.34), (0.42, 0.34), (0.5, 0.24)], dim(color, 0.7))
    body.shape([(0.38, 0.3), (0.3, 0.95), (0.46, 1.05), (0.64, 0.5), (0.52, 0.26)], color)
    body.shape([(0.52, 0.5), (0.62, 0.62), (0.92, 0.6), (0.98, 0.48)], dim(color, 0.85))
    body.disc((0.5, 0.95), 0.09, (235, 232, 215))
    body.disc((-0.94, 0.62), 0.06, (180, 30, 25))


def draw_motorcycle_ahead(stage: Stage, place: tuple[float, float], *, ridden: bool) -> None:
    """Draw a motorcycle from the front or back: a wide tyre, a fairing with a lamp, mirrors."""
    rng = stage.rng
    body, color = Sprite(stage, place, _MOTORCYCLE), usual(rng, "motorcycle")
    if ridden:
        draw_rider_ahead(Sprite(stage, place, _RIDER), rng, 0.95, helmet=True)
    body.shape(circle((0.0, 0.33), (0.12, 0.33)), _BLACK)
    body.shape([(-0.28, 0.4), (-0.24, 0.75), (0.24, 0.75), (0.28, 0.4)], (62, 63, 67))
    body.shape([(-0.2, 0.55), (-0.25, 0.95), (-0.12, 1.12), (0.12, 1.12), (0.25, 0.95), (0.2, 0.55)], color)
    lamp = (245, 240, 220) if rng.random() < 0.5 else (190, 30, 25)
    body.disc((0.0, 0.88), 0.12, lamp)
    body.limb([(-0.4, 1.06), (0.4, 1.06)], 0.06, _BLACK)
    for sign in (-1, 1):
        body.disc((sign * 0.4, 1.2), (0.08, 0.05), _BLACK)
