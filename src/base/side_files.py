"""Files that a run can do without: metrics, curves, its configuration."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from src.base.errors import UserError, one_line

logger = logging.getLogger(__name__)
_told: set[Path] = set()


@contextlib.contextmanager
def side_file(path: Path) -> Iterator[None]:
    """Let a failure to write `path` within the block be a warning, once a file, and go on behind the block."""
    try:
        yield
    except (OSError, UserError) as err:
        if path in _told:
            return
        _told.add(path)
        cause = err if isinstance(err, OSError) else err.__cause__
        reason = getattr(cause, "strerror", None) or one_line(err)
        logger.warning("cannot write %s: %s; the run goes on without it", path, reason)
