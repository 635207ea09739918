"""What oneDNN says about the time of its primitives (``ONEDNN_VERBOSE=1``), added up by kind.

A line of version 2 reads ``dnnl_verbose,exec,cpu,convolution,gemm:jit,forward_training,<memory>,,<algorithm>,<shape>,
<milliseconds>``; version 3 begins it with ``onednn_verbose,v1,primitive``. The shape of a grouped convolution holds
``g`` and the number of groups, first or behind the batch size.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import NamedTuple

# Older versions know only the second name. Read when the library loads.
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
    """One execution: what it was, and its milliseconds."""

    kind: str
    ms: float


def parse_line(line: str) -> Primitive | None:
    """Read one line of output; None if it does not report an execution."""
    fields = line.strip().split(",")
    if fields[0] not in ("dnnl_verbose", "onednn_verbose") or "exec" not in fields[:5]:
        return None
    fields = fields[fields.index("exec") + 1 :]
    try:
        # in between stand the memory formats and the attributes
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
    """Add up the milliseconds of each kind of primitive."""
    totals: dict[str, float] = {}
    for primitive in filter(None, map(parse_line, lines)):
        totals[primitive.kind] = totals.get(primitive.kind, 0.0) + primitive.ms
    return totals


class OutputCollector:
    """Turn this process's standard output, including what C libraries write to it, into a file and read it back."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process writes to it
        os.dup2(self.file.fileno(), 1)

    def collect(self, step: Callable[[], float]) -> dict:
        """Run `step`, which returns its milliseconds; return them as "ms", and those of its primitives as "kinds"."""
        _flush()
        begin = os.lseek(self.file.fileno(), 0, os.SEEK_END)
        milliseconds = step()
        _flush()
        end = os.lseek(self.file.fileno(), 0, os.SEEK_END)
        lines = os.pread(self.file.fileno(), end - begin, begin).decode(errors="replace").splitlines()
        return {"ms": milliseconds, "kinds": sum_by_kind(lines)}


def _flush() -> None:
    ctypes.CDLL(None).fflush(None)
