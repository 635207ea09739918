"""The times of oneDNN's primitives (``ONEDNN_VERBOSE=1``), summed by kind.

A line of version 2 reads ``dnnl_verbose,exec,cpu,convolution,gemm:jit,forward_training,<memory>,,<algorithm>,<shape>,
<milliseconds>``; version 3 begins it with ``onednn_verbose,v1,primitive``. The shape of a grouped convolution has
``g`` and the number of groups, at the start or after the batch size.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import NamedTuple

# Older versions know only the second name. The library reads them when it loads.
VERBOSE = {"ONEDNN_VERBOSE": "1", "DNNL_VERBOSE": "1"}
_GROUPS = re.compile(r"(?:^|_)g(\d+)")
_SHORT = {
    "forward_training": "forward",
    "forward_inference": "forward",
    "backward_data": "backward, data",
    "backward_weights": "backward, weights",
    "undef": "",
}


class Primitive(NamedTuple):
    """Kind and milliseconds of one execution."""

    kind: str
    ms: float


def parse_line(line: str) -> Primitive | None:
    """Return the execution in a line of output; None if there is none."""
    fields = line.strip().split(",")
    if fields[0] not in ("dnnl_verbose", "onednn_verbose") or "exec" not in fields[:5]:
        return None
    fields = fields[fields.index("exec") + 1 :]
    try:
        # the memory formats and attributes are in between
        _, primitive, _, direction, *_, shape, milliseconds = fields
        return Primitive(_kind(primitive, direction, shape), float(milliseconds))
    except ValueError:
        return None


def _kind(primitive: str, direction: str, shape: str) -> str:
    name = primitive.replace("_", " ")
    if primitive == "convolution":
        groups = _GROUPS.search(shape)
        name = f"{'grouped' if groups and int(groups[1]) > 1 else 'dense'} convolution"
    direction = _SHORT.get(direction, direction)
    return f"{name}, {direction}" if direction else name


def sum_by_kind(lines: Iterable[str]) -> dict[str, float]:
    """Return the total milliseconds of each kind of primitive."""
    totals: dict[str, float] = {}
    for primitive in filter(None, map(parse_line, lines)):
        totals[primitive.kind] = totals.get(primitive.kind, 0.0) + primitive.ms
    return totals


class OutputCollector:
    """Redirect this process's standard output, including that of C libraries, to a file and read it back."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process writes to it
        os.dup2(self.file.fileno(), 1)

    def collect(self, step: Callable[[], float]) -> dict:
        """Run `step`; return its milliseconds, which it returns, as "ms" and those of its primitives as "kinds"."""
        _flush()
        begin = os.lseek(self.file.fileno(), 0, os.SEEK_END)
        milliseconds = step()
        _flush()
        end = os.lseek(self.file.fileno(), 0, os.SEEK_END)
        lines = os.pread(self.file.fileno(), end - begin, begin).decode(errors="replace").splitlines()
        return {"ms": milliseconds, "kinds": sum_by_kind(lines)}


def _flush() -> None:
    ctypes.CDLL(None).fflush(None)
