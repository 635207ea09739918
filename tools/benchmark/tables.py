"""Plain-text tables, and the format of samples and shapes in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tools.benchmark.samples import summarize


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of text below their heads, with the first column left-aligned and the others right-aligned."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
    return "\n".join([title, *text[:1], "-" * len(text[0]), *text[1:]])


def spread(samples: Sequence[float], digits: int | None = None) -> str:
    """Return median and range of samples as text with `digits` decimals, by default none from 100 on."""
    summary = summarize(samples)
    if digits is None:
        digits = 0 if summary.median >= 100 else 1
    return f"{summary.median:.{digits}f} ({summary.low:.{digits}f} .. {summary.high:.{digits}f})"


def size_text(size: Sequence[int]) -> str:
    """Return (height, width) as text."""
    return "x".join(map(str, size))


def shape_text(shape: Sequence[int]) -> str:
    """Return the shape (N, 3, H, W) as number of images and size in text."""
    return f"{shape[0]} of {size_text(shape[2:])}"
