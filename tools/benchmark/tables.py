"""Tables of plain text, and how samples and shapes are written in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tools.benchmark.samples import summarize


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows of text below their heads, the first column left-aligned and the others right-aligned."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
    return "\n".join([title, *text[:1], "-" * len(text[0]), *text[1:]])


def spread(samples: Sequence[float], digits: int | None = None) -> str:
    """Write samples as their median and range; `digits` behind the point, by default none from 100 on."""
    summary = summarize(samples)
    if digits is None:
        digits = 0 if summary.median >= 100 else 1
    return f"{summary.median:.{digits}f} ({summary.low:.{digits}f} .. {summary.high:.{digits}f})"


def size_text(size: Sequence[int]) -> str:
    """Write (height, width)."""
    return "x".join(map(str, size))


def shape_text(shape: Sequence[int]) -> str:
    """Write (N, 3, H, W) as images and size."""
    return f"{shape[0]} of {size_text(shape[2:])}"
