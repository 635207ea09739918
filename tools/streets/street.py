"""The plan of a street: the positions of road, pavements, grass, side road and tram track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROAD, SIDEWALK, TERRAIN, KERB, TRACK_BED = range(5)  # kinds of ground
GROUND_LABELS = np.array([7, 8, 22, 8, 10], np.uint8)  # their label ids
LANE = 3.2  # metres
TRACK_GAUGE = 1.44


@dataclass(frozen=True)
class Side:
    """One side of the street.

    Attributes:
        sign: -1 on the left, 1 on the right.
        bands: outer |u| in metres and kind of ground, from the kerb outwards; the last one is the frontage.
        lot: kind of ground behind the frontage.
    """

    sign: int
    bands: tuple[tuple[float, int], ...]
    lot: int

    @property
    def front(self) -> float:
        """Return |u| of the frontage."""
        return self.bands[-1][0]

    def band(self, kind: int) -> tuple[float, float] | None:
        """Return the inner and outer |u| of the first band of a kind of ground, None if there is none."""
        for index, (outer, found) in enumerate(self.bands):
            if found == kind:
                return (self.bands[index - 1][0] if index else 0.0), outer
        return None


@dataclass(frozen=True)
class Street:
    """The plan of a street.

    Attributes:
        half: half the width of the road in metres.
        sides: left and right side.
        junction: range of s of a side road, or None.
        branches: signs of the sides on which the side road leaves.
        zebra: s of a zebra crossing, or None.
        track: u of the middle of a tram track, or None.
        own_bed: whether the track has its own ballast bed rather than lying in the road.
    """

    half: float
    sides: tuple[Side, Side]
    junction: tuple[float, float] | None
    branches: tuple[int, ...]
    zebra: float | None
    track: float | None
    own_bed: bool

    @property
    def lanes(self) -> int:
        """Return the number of lanes, at least two."""
        return max(2, round(2 * self.half / 3.3))

    def is_open(self, s: float, margin: float) -> bool:
        """Return whether `s` lies in the side road."""
        return self.junction is not None and self.junction[0] - margin < s < self.junction[1] + margin


def random_street(rng: np.random.Generator, *, with_track: bool) -> Street:
    """Return a random plan of a street; a tram track lies left of the lanes or in the left lane."""
    lanes = rng.choice([2, 3, 4], p=[0.55, 0.3, 0.15])
    half = lanes * LANE / 2 + rng.uniform(0, 0.8)
    junction: tuple[float, float] | None = None
    branches: tuple[int, ...] = ()
    if rng.random() < 0.4:
        start = rng.uniform(12, 26)
        junction = (start, start + rng.uniform(7, 11))
        choices: list[tuple[int, ...]] = [(-1, 1), (-1,), (1,)]
        branches = choices[rng.integers(3)]
    own_bed = with_track and rng.random() < 0.3
    half += 1.6 if own_bed else 0.0
    track = rng.choice([-1, 1]) * (half - (1.8 if own_bed else LANE / 2 + 0.3)) if with_track else None
    zebra = rng.uniform(7, 20) if rng.random() < 0.3 else None
    if junction is not None and zebra is not None:
        zebra = junction[0] - 3.5
    return Street(
        half=float(half),
        sides=(_random_side(rng, -1, half), _random_side(rng, 1, half)),
        junction=junction,
        branches=branches,
        zebra=zebra,
        track=None if track is None else float(track),
        own_bed=own_bed,
    )


def _random_side(rng: np.random.Generator, sign: int, half: float) -> Side:
    bands, outer = [(half, ROAD)], half
    walk, verge = rng.uniform(2.0, 3.8), rng.uniform(1.2, 3.0)
    pattern = rng.choice(4, p=[0.36, 0.34, 0.2, 0.1])
    for kind in ((SIDEWALK,), (TERRAIN, SIDEWALK), (SIDEWALK, TERRAIN), (TERRAIN,))[pattern]:
        outer += walk if kind == SIDEWALK else verge
        bands.append((outer, kind))
    return Side(sign, tuple(bands), TERRAIN if rng.random() < 0.7 else SIDEWALK)
