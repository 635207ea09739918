"""Recording the random draws of transforms on request; recording does not affect them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_record: ContextVar[dict[str, Any] | None] = ContextVar("draws", default=None)


@contextlib.contextmanager
def recording() -> Iterator[dict[str, Any]]:
    """Yield a dictionary that collects what this thread's transforms `note` while the block runs."""
    found: dict[str, Any] = {}
    token = _record.set(found)
    try:
        yield found
    finally:
        _record.reset(token)


def note(**drawn: Any) -> None:
    """Record draws of a transform under freely chosen names; a later value replaces an earlier one."""
    found = _record.get()
    if found is not None:
        found.update(drawn)
