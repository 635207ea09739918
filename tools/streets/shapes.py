"""A tiny data set of three classes, drawn from simple geometry: discs and squares on a shaded background.

Its folder is laid out like a custom data set: pictures, labels with train ids, and a list for each split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.base.errors import DataError, UserError
from src.base.files import holds_anything, write_whole
from src.visual.visualize import write_png

CLASS_NAMES = ("background", "disc", "square")
BACKGROUND, DISC, SQUARE = range(len(CLASS_NAMES))
IGNORED = 255
SIZE = (160, 240)  # height and width of every picture
COUNTS = {"train": 24, "val": 8}
SHAPES = (3, 6)  # minimum and maximum number of shapes per picture
RADIUS = (16.0, 34.0)  # range of the radius of a disc, or half the side of a square, pixels
EDGE = 1.5  # distance from the outline of a shape within which pixels are ignored
NOISE = 12.0  # standard deviation, grey levels
# Means of the colours (RGB); each shape varies around the mean of its class, and the two classes overlap.
COLORS = {DISC: (185, 110, 80), SQUARE: (90, 120, 185)}
STRAY = 30.0  # standard deviation, grey levels


@dataclass(frozen=True)
class Shape:
    """A disc or a square.

    Attributes:
        kind: its class.
        row: row of the centre, pixels.
        column: column of the centre, pixels.
        radius: radius of a disc, or half the side of a square, pixels.
        angle: rotation of a square, radians.
        color: RGB.
    """

    kind: int
    row: float
    column: float
    radius: float
    angle: float
    color: tuple[float, float, float]

    def depth(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the distance of points to the outline in pixels, positive inside and negative outside."""
        down, right = rows - self.row, columns - self.column
        if self.kind == DISC:
            return self.radius - np.hypot(down, right)
        along = np.cos(self.angle) * right + np.sin(self.angle) * down
        across = np.cos(self.angle) * down - np.sin(self.angle) * right
        return self.radius - np.maximum(np.abs(along), np.abs(across))


def draw_pair(seed: int, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (160, 240, 3) uint8 RGB and its label (160, 240) uint8: train ids, and 255 along the outlines.

    The same arguments give the same pixels; the two splits have no picture in common.
    """
    rng = np.random.default_rng((seed, list(COUNTS).index(split), index))
    rows, columns = np.indices(SIZE, dtype=np.float64)
    picture = _background(rng, rows, columns)
    label = np.full(SIZE, BACKGROUND, np.uint8)
    for shape in _shapes(rng):
        depth = shape.depth(rows, columns)
        picture[depth > 0] = shape.color
        label[depth > 0] = shape.kind
        label[np.abs(depth) < EDGE] = IGNORED
    picture += rng.normal(0, NOISE, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), label


def _background(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return a gradient between two slightly tinted greys in a random direction, (H, W, 3) float64."""
    first, second = (rng.uniform(60, 200) + rng.normal(0, 10, 3) for _ in range(2))
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * columns / SIZE[1] + np.sin(angle) * rows / SIZE[0]
    share = (slope - slope.min()) / (slope.max() - slope.min())
    return first + share[..., None] * (second - first)


def _near(color: tuple[float, float, float], rng: np.random.Generator) -> tuple[float, float, float]:
    red, green, blue = (np.array(color) + rng.normal(0, STRAY, 3)).tolist()
    return red, green, blue


def _shapes(rng: np.random.Generator) -> list[Shape]:
    """Return random shapes for a picture, at least one of each class; later ones cover earlier ones."""
    count = int(rng.integers(SHAPES[0], SHAPES[1] + 1))
    kinds = rng.permutation([DISC, SQUARE, *rng.choice((DISC, SQUARE), count - 2)])
    return [
        Shape(
            int(kind),
            row=float(rng.uniform(0, SIZE[0])),
            column=float(rng.uniform(0, SIZE[1])),
            radius=float(rng.uniform(*RADIUS)),
            angle=float(rng.uniform(0, np.pi / 2)),
            color=_near(COLORS[int(kind)], rng),
        )
        for kind in kinds
    ]


def write_data_set(root: Path, seed: int) -> Iterator[Path]:
    """Write ``images/``, ``labels/``, ``train.lst`` and ``val.lst`` below `root`; yield the path of every picture.

    Raises:
        DataError: the folder is not empty; it stays unchanged.
        UserError: a file cannot be written.
    """
    _require_empty(root)
    for split, count in COUNTS.items():
        lines = []
        for index in range(count):
            name = f"{split}_{index:02d}.png"
            picture, label = draw_pair(seed, split, index)
            write_png(root / "images" / name, picture)
            write_png(root / "labels" / name, label)
            lines.append(f"images/{name} labels/{name}\n")
            yield root / "images" / name
        write_whole(root / f"{split}.lst", "".join(lines).encode(), "the list ")


def _require_empty(root: Path) -> None:
    """Create the folders in `root`, which must be empty or new."""
    try:
        if holds_anything(root):
            raise DataError(f"{root} is not empty and is left as it is; take another folder")
        for name in ("images", "labels"):
            (root / name).mkdir(parents=True)
    except OSError as err:
        raise UserError(f"cannot write to {root}: {err.strerror or err}") from err
