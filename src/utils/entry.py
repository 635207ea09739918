"""The frame of every entry script: its exit code and what a mistake of the user's looks like. Needs no MindSpore."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from src.utils.errors import UserError
from src.utils.logger import has_logging

logger = logging.getLogger(__name__)


def run_entry(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run an entry script and exit with its code.

    A mistake of the user's or a file that cannot be written gives 2 and one line, Ctrl-C 130, a bug 1 and a traceback.
    """
    try:
        code = main(None)
    except UserError as err:
        if has_logging():
            logger.error("%s", err)
        else:
            sys.stderr.write(f"error: {err}\n")
        code = 2
    except KeyboardInterrupt:
        code = 130
    except OSError as err:
        if not has_logging() or err.filename is None:
            raise
        logger.error("%s: %s", err.filename, err.strerror)
        code = 2
    except Exception:
        if not has_logging():
            raise
        logger.exception("unexpected error")
        code = 1
    sys.exit(code)
