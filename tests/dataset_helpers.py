"""Small generated data sets for tests: a mini Cityscapes tree, a generic data set, single PNG files of every kind."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from src.config import schema
from src.data.transforms.common import Normalize, RandomColor, RandomFlip, TransposeImage
from src.data.transforms.resize import RandomResizeCrop, Resize

# Label ids of Cityscapes that the generated labels use; 0 and 4 belong to no class.
LABEL_IDS = (0, 4, 7, 8, 11, 17, 21, 23, 24, 26, 33)
MEAN, STD = (0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115)


def write_cityscapes(root: Path, counts: Mapping[str, int] | None = None, *, size: tuple[int, int] = (48, 96)) -> Path:
    """Write a Cityscapes tree with `counts` pairs a split (default 6 train, 3 val) in two cities; return its root.

    The colour of every image pixel tells its label id, with a little noise: a network can learn it.
    """
    rng = np.random.default_rng(0)
    for split, count in (counts or {"train": 6, "val": 3}).items():
        for index in range(count):
            city = ("aachen", "zurich")[index % 2]
            stem = f"{city}_{index:06d}_000019"
            label = random_label(rng, size, LABEL_IDS)
            write_png(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", paint(rng, label))
            write_png(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", label)
    return root


def write_generic(
    root: Path, counts: Mapping[str, int] | None = None, *, num_classes: int = 3, size: tuple[int, int] = (48, 96)
) -> Path:
    """Write ``images/``, ``labels/`` and ``{split}.lst`` with train ids 0..num_classes-1 and 255."""
    rng = np.random.default_rng(0)
    for split, count in (counts or {"train": 6, "val": 3}).items():
        lines = []
        for index in range(count):
            label = random_label(rng, size, [*range(num_classes), 255])
            write_png(root / "images" / f"{split}_{index}.png", paint(rng, label))
            write_png(root / "labels" / f"{split}_{index}.png", label)
            lines.append(f"images/{split}_{index}.png\tlabels/{split}_{index}.png\n")
        (root / f"{split}.lst").write_text("".join(lines), encoding="utf-8")
    return root


def make_data(
    root: Path, *, name: str = "cityscapes", target_size: tuple[int, int] = (48, 96), workers: int = 2
) -> schema.Data:
    """Build the data section with all the published transforms."""
    tail = (Normalize(mean=MEAN, std=STD), TransposeImage())
    crop = RandomResizeCrop(crop_size=(32, 64), base_size=96)
    color = RandomColor(contrast_range=(0.4, 1.6))
    resize = Resize(target_size=target_size)
    return schema.Data(
        dataset_dir=str(root),
        name=name,
        num_parallel_workers=workers,
        train_transforms=schema.TrainTransforms(item_transforms=(crop, RandomFlip(), color, *tail)),
        eval_transforms=schema.EvalTransforms(item_transforms=(resize, *tail)),
    )


def random_pair(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image (H, W, 3) and train ids (H, W) of independent pixels: each tells where it came from."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 19, size, np.uint8)


def random_label(rng: np.random.Generator, size: tuple[int, int], values: Iterable[int]) -> np.ndarray:
    """Draw a (H, W) uint8 label of 8x8 blocks."""
    blocks = rng.choice(np.array(list(values), np.uint8), (-(-size[0] // 8), -(-size[1] // 8)))
    return blocks.repeat(8, axis=0).repeat(8, axis=1)[: size[0], : size[1]]


def paint(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Give every label value a colour of its own: (H, W) to (H, W, 3) uint8 RGB, with noise of ±5 levels."""
    colors = np.random.default_rng(7).integers(5, 251, (256, 3))
    return (colors[label] + rng.integers(-5, 6, (*label.shape, 3))).astype(np.uint8)


def write_png(path: Path, array: np.ndarray) -> Path:
    """Write (H, W) or RGB (H, W, 3) as PNG, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = array[..., ::-1] if array.ndim == 3 else array
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


def png_bytes(pixels: np.ndarray, *, color_type: int, depth: int = 8, palette: np.ndarray | None = None) -> bytes:
    """Encode a PNG by hand, so that tests do not depend on what OpenCV writes.

    Args:
        pixels: (H, W) or (H, W, C) in the order of the file, uint8 or, with `depth` 16, uint16; with `depth` below 8
            the packed bytes of the rows.
        color_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        depth: bits a channel.
        palette: (N, 3) uint8 RGB for colour type 3.
    """
    height, width = pixels.shape[:2]
    width = width * 8 // depth if depth < 8 else width
    rows = pixels.astype(">u2" if depth == 16 else np.uint8)
    raw = b"".join(b"\x00" + row.tobytes() for row in rows)  # filter type 0 before every row
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette.astype(np.uint8).tobytes()))
    chunks += [(b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
