"""Draw the network as docs/network.md shows it: BiSeNetv2.png.

Everything is drawn at three times the final size, so that reducing it smooths all edges. Coordinates refer to a drawing
1000 wide; the picture has one and a half times as many pixels.

Usage: python scripts/draw_architecture.py [--output BiSeNetv2.png]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import src  # noqa: F401 - before OpenCV, whose absence it explains

# isort: split
import cv2
import numpy as np

from src.base.paths import user_path
from src.visual.drawing import FONT, blank

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 550, 1000
SMOOTH = 3  # size of the canvas relative to the picture
K = 1.5 * SMOOTH
NORMAL, TITLE = 0.36, 0.42  # OpenCV's font scale, before enlargement
LINE = 15  # line height of text
INK, QUIET, WIRE = (38, 42, 52), (104, 110, 122), (70, 76, 90)
Point = tuple[float, float]


class Look(NamedTuple):
    """RGB colours of one part of the network: background area, boxes and their frames."""

    area: tuple[int, int, int]
    box: tuple[int, int, int]
    frame: tuple[int, int, int]


GREY = Look((246, 247, 249), (232, 235, 240), (128, 134, 146))
BLUE = Look((236, 244, 253), (200, 223, 248), (52, 110, 178))
GREEN = Look((235, 247, 238), (198, 231, 207), (46, 125, 70))
ORANGE = Look((254, 245, 232), (252, 222, 178), (190, 112, 20))
VIOLET = Look((246, 240, 251), (225, 208, 242), (118, 74, 160))


class Box(NamedTuple):
    """A rectangle: its centre and size; left, right, top and bottom are the middles of its sides."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return (self.x - self.width / 2, self.y)

    @property
    def right(self) -> Point:
        return (self.x + self.width / 2, self.y)

    @property
    def top(self) -> Point:
        return (self.x, self.y - self.height / 2)

    @property
    def bottom(self) -> Point:
        return (self.x, self.y + self.height / 2)


class Drawing:
    """A canvas with the coordinates of the drawing, 1000 wide."""

    def __init__(self) -> None:
        self.canvas = blank(round(HEIGHT * K), round(WIDTH * K))

    def text(
        self,
        words: str,
        x: float,
        y: float,
        *,
        scale: float = NORMAL,
        align: float = 0.5,
        bold: bool = False,
        color: tuple = INK,
    ) -> None:
        """Write with the middle of the line at y; x is the left edge (`align` 0), centre (0.5) or right edge (1)."""
        thickness = round((1.55 if bold else 1.0) * K)
        (width, height), _ = cv2.getTextSize(words, FONT, scale * K, thickness)
        place = (round(x * K - align * width), round(y * K + height / 2))
        cv2.putText(self.canvas, words, place, FONT, scale * K, color, thickness)

    def area(self, box: Box, title: str, look: Look, *, title_below: bool = False) -> None:
        """Draw the background of a part, with its title inside at the upper or lower left."""
        self._rounded(box, look.area, look.frame, line=0.8)
        y = box.bottom[1] - 16 if title_below else box.top[1] + 16
        self.text(title, box.left[0] + 14, y, scale=TITLE, align=0, bold=True, color=look.frame)

    def box(self, box: Box, lines: Sequence[str], look: Look, *, dashed: bool = False) -> None:
        """Draw a box with centred lines of text, the first of them in bold when there are more."""
        self._rounded(box, look.box, look.frame, line=1.3, dashed=dashed)
        top = box.y - (len(lines) - 1) * LINE / 2
        for number, words in enumerate(lines):
            first = number == 0 and len(lines) > 1
            self.text(words, box.x, top + number * LINE, bold=first)

    def _rounded(
        self, box: Box, fill: tuple, frame: tuple, *, line: float, dashed: bool = False, radius: float = 6
    ) -> None:
        dx, dy = box.width / 2 - radius, box.height / 2 - radius
        outline = []
        for sx, sy, start in ((1, -1, 270), (1, 1, 0), (-1, 1, 90), (-1, -1, 180)):
            angles = np.deg2rad(np.linspace(start, start + 90, 13))
            outline += [(box.x + sx * dx + radius * np.cos(a), box.y + sy * dy + radius * np.sin(a)) for a in angles]
        cv2.fillPoly(self.canvas, [_pixels(outline)], fill)
        self.line([*outline, outline[0]], frame, width=line, dashed=dashed)

    def line(self, points: Sequence[Point], color: tuple = WIRE, *, width: float = 1.3, dashed: bool = False) -> None:
        """Draw a line through `points`."""
        pixels = [_pixels(piece) for piece in (_dashes(points) if dashed else [list(points)])]
        cv2.polylines(self.canvas, pixels, False, color, round(width * K))

    def arrow(self, *points: Point, dashed: bool = False) -> None:
        """Draw an arrow through `points`."""
        end, before = np.array(points[-1], float), np.array(points[-2], float)
        ahead = (end - before) / np.linalg.norm(end - before)
        aside = np.array([-ahead[1], ahead[0]])
        short_x, short_y = end - 5 * ahead
        self.line([*points[:-1], (short_x, short_y)], dashed=dashed)
        head = [end, end - 7 * ahead + 3.4 * aside, end - 7 * ahead - 3.4 * aside]
        cv2.fillPoly(self.canvas, [_pixels(head)], WIRE)

    def sign(self, x: float, y: float, angle: int) -> Box:
        """Draw a small circle with a plus in it, turned by `angle` degrees (45 gives a times sign); return its box."""
        box = Box(x, y, 18, 18)
        self._rounded(box, (255, 255, 255), ORANGE.frame, line=1.3, radius=9)
        for turned in np.deg2rad([angle, angle + 90]):
            dx, dy = 5 * np.cos(turned), 5 * np.sin(turned)
            self.line([(x - dx, y - dy), (x + dx, y + dy)], INK, width=1.5)
        return box


def _pixels(points: Sequence) -> np.ndarray:
    return np.round(np.array(points, float) * K).astype(np.int32)


def _dashes(points: Sequence[Point], on: float = 4.5, off: float = 3.5) -> list[list[Point]]:
    """Cut a line through `points` into dashes."""
    corners = np.array(points, float)
    reached = np.concatenate([[0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
    pieces: list[list[Point]] = []
    for start in np.arange(0, reached[-1], on + off):
        places = np.linspace(start, min(start + on, reached[-1]), 4)
        x, y = (np.interp(places, reached, axis).tolist() for axis in corners.T)
        pieces.append(list(zip(x, y)))
    return pieces


def draw() -> np.ndarray:
    """Draw the network, (H, W, 3) uint8 RGB."""
    drawing = Drawing()
    chain = [Box(722, 157, 96, 200), Box(838, 157, 76, 78), Box(949, 157, 80, 62)]
    texts = [
        ["Aggregation", "bilateral", "guided", "128, 1/8"],
        ["Head", "conv 1024", "conv 19", "x 8"],
        ["Scores", "19 classes", "H x W"],
    ]
    draw_chain(drawing, chain, texts, [ORANGE, GREY, GREY])
    image = Box(54, 157, 80, 62)
    drawing.box(image, ["Image", "3 channels", "H x W"], GREY)
    for side, branch in ((image.top, draw_detail(drawing)), (image.bottom, draw_semantic(drawing))):
        drawing.arrow(side, (image.x, branch[0].y), branch[0].left)
        drawing.arrow(branch[-1].right, (chain[0].left[0], branch[-1].y))
    draw_aggregation(drawing)
    draw_notes(drawing)
    height, width = drawing.canvas.shape[:2]
    return cv2.resize(drawing.canvas, (width // SMOOTH, height // SMOOTH), interpolation=cv2.INTER_AREA)


def draw_detail(drawing: Drawing) -> list[Box]:
    """Draw the detail branch; return its boxes."""
    drawing.area(Box(384, 70, 524, 112), "Detail branch", BLUE)
    texts = [
        ["S1", "2 convolutions", "64, 1/2"],
        ["S2", "3 convolutions", "64, 1/4"],
        ["S3", "3 convolutions", "128, 1/8"],
    ]
    boxes = [Box(x, 83, 122, 62) for x in (197, 384, 571)]
    draw_chain(drawing, boxes, texts, [BLUE] * 3)
    return boxes


def draw_semantic(drawing: Drawing) -> list[Box]:
    """Draw the semantic branch and the auxiliary heads below it; return the boxes of the branch."""
    drawing.area(Box(384, 216, 524, 116), "Semantic branch", GREEN)
    drawing.area(Box(384, 360, 524, 112), "Auxiliary heads, in training only", VIOLET, title_below=True)
    texts = [
        ["Stem", "conv + pool", "16, 1/4"],
        ["S3", "GE x 2", "32, 1/8"],
        ["S4", "GE x 2", "64, 1/16"],
        ["S5_4", "GE x 4", "128, 1/32"],
        ["Context", "embedding", "128, 1/32"],
    ]
    boxes = [Box(178 + 103 * number, 230, 84, 62) for number in range(5)]
    draw_chain(drawing, boxes, texts, [GREEN] * 5)
    for box, name, channels in zip(boxes, ("aux2", "aux3", "aux4", "aux5_4"), (16, 64, 256, 1024)):
        head = Box(box.x, 348, 84, 62)
        drawing.arrow(box.bottom, head.top, dashed=True)
        drawing.box(head, [name, f"128, {channels}", "19, H x W"], VIOLET, dashed=True)
    for number, words in enumerate(("one loss", "each, added", "to the main")):
        drawing.text(words, boxes[-1].x, 333 + number * LINE, color=QUIET)
    return boxes


def draw_chain(drawing: Drawing, boxes: Sequence[Box], texts: Sequence[Sequence[str]], looks: Sequence[Look]) -> None:
    """Draw boxes and the arrows from one to the next."""
    for box, lines, look in zip(boxes, texts, looks):
        drawing.box(box, lines, look)
    for before, after in zip(boxes, boxes[1:]):
        drawing.arrow(before.right, after.left)


def draw_aggregation(drawing: Drawing) -> None:
    """Draw the inside of the aggregation layer: the branches multiplied at two sizes, and the sum."""
    drawing.area(Box(829, 420, 322, 232), "Inside the aggregation", ORANGE)
    texts = ["dw 3x3, 1x1", "3x3, x 4, sigmoid", "3x3 s2, pool s2", "dw, 1x1, sigmoid"]
    keep, gate, down, guide = boxes = [Box(788, y, 118, 30) for y in (358, 402, 452, 496)]
    for box, words, look in zip(boxes, texts, (BLUE, GREEN, BLUE, GREEN)):
        drawing.box(box, [words], look)
    detail, semantic = 692, 710  # x of the lines from the branches to their second boxes
    drawing.arrow((678, keep.y), keep.left)
    drawing.arrow((678, guide.y), guide.left)
    drawing.arrow((semantic, guide.y), (semantic, gate.y), gate.left)
    drawing.line([(semantic - 5, down.y), (semantic + 5, down.y)], ORANGE.area, width=6)  # gap for the next line
    drawing.arrow((detail, keep.y), (detail, down.y), down.left)
    drawing.text("detail", 678, keep.y - 12, align=0, color=BLUE.frame)
    drawing.text("semantic", 678, guide.y + 24, align=0, color=GREEN.frame)
    fine, coarse = drawing.sign(868, 380, 45), drawing.sign(868, 474, 45)
    for product, upper, lower in ((fine, keep, gate), (coarse, down, guide)):
        drawing.arrow(upper.right, (product.x, upper.y), product.top)
        drawing.arrow(lower.right, (product.x, lower.y), product.bottom)
    total, enlarge, last = drawing.sign(908, 427, 0), Box(908, 474, 36, 26), Box(952, 427, 40, 30)
    drawing.box(enlarge, ["x 4"], ORANGE)
    drawing.box(last, ["3x3"], ORANGE)
    drawing.arrow(fine.right, (total.x, fine.y), total.top)
    drawing.arrow(coarse.right, enlarge.left)
    drawing.arrow(enlarge.top, total.bottom)
    drawing.arrow(total.right, last.left)
    drawing.arrow(last.right, (988, last.y))


def draw_notes(drawing: Drawing) -> None:
    """Explain the abbreviations."""
    notes = (
        "64, 1/2: channels, and height and width as a part of the image's",
        "GE: gather-and-expansion layer; dw: depthwise convolution; s2: stride 2; x 4: upsampling",
        "dashed: built and run for training only",
        "parameters: 3,358,627 as evaluated, 5,231,487 with the auxiliary heads (19 classes)",
    )
    for number, words in enumerate(notes):
        drawing.text(words, 128, 446 + 24 * number, align=0, color=QUIET)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage=argparse.SUPPRESS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=user_path, default=ROOT / "BiSeNetv2.png", help="PNG to write, replaced if it exists"
    )
    path = parser.parse_args(argv).output
    _, encoded = cv2.imencode(".png", draw()[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])  # smallest file
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as err:
        parser.error(f"--output {path}: {err.strerror}")


if __name__ == "__main__":
    main()
