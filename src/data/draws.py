"""What transforms draw at random, for whoever asks; nobody asking, nothing is kept, and no draw depends on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_record: ContextVar[dict[str, Any] | None] = ContextVar("draws", default=None)


@contextlib.contextmanager
def recording() -> Iterator[dict[str, Any]]:
    """Yield a dictionary that takes what this thread's transforms `note` while the block runs."""
    found: dict[str, Any] = {}
    token = _record.set(found)
    try:
        yield found
    finally:
        _record.reset(token)


def note(**drawn: Any) -> None:
    """Tell what a transform has drawn, by names of one's own; a later value of a name replaces an earlier one."""
    found = _record.get()
    if found is not None:
        found.update(drawn)
