"""Files whose loss does not stop a run: metrics, curves, its configuration."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from src.base.errors import UserError, one_line

logger = logging.getLogger(__name__)
_warned: set[Path] = set()


@contextlib.contextmanager
def side_file(path: Path) -> Iterator[None]:
    """Turn a failure to write `path` within the block into a warning, once per file, and continue after the block."""
    try:
        yield
    except (OSError, UserError) as err:
        if path in _warned:
            return
        _warned.add(path)
        cause = err if isinstance(err, OSError) else err.__cause__
        reason = getattr(cause, "strerror", None) or one_line(err)
        logger.warning("cannot write %s: %s; the run goes on without it", path, reason)
