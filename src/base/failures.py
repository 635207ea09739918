"""Exit code and message of failures that are not bugs."""

from __future__ import annotations

import errno
import re
import signal
import tempfile

from src.base.errors import TerminatedError, UserError, printable
from src.base.stops import first_signal, stop_text

USER_ERROR = 2
_LONG_WORD, _LONG_LINE = re.compile(r"\S{1000,}"), re.compile(r".{5000,}")
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EPIPE)  # may lack a file name


def describe_failure(err: BaseException) -> tuple[int, str] | None:
    """Return exit code and message for an exception; None for a bug, which needs its traceback.

    Words and lines of thousands of characters are shortened to their beginning and end.
    """
    failure = _describe(err)
    if failure is None:
        return None
    text = _LONG_WORD.sub(lambda match: f"{match[0][:100]}...{match[0][-50:]}", printable(failure[1]))
    return failure[0], _LONG_LINE.sub(lambda match: f"{match[0][:1000]} ... {match[0][-500:]}", text)


def _describe(err: BaseException) -> tuple[int, str] | None:
    number = first_signal() or (signal.SIGINT if isinstance(err, KeyboardInterrupt) else None)
    if number:  # libraries may have turned the signal's exception into another one
        return 128 + number, stop_text(number)
    if isinstance(err, TerminatedError):
        return 128 + signal.SIGTERM, str(err)
    if isinstance(err, UserError):
        return USER_ERROR, str(err) + _advice(err.__cause__)
    if isinstance(err, OSError) and err.filename is not None:
        return USER_ERROR, f"{err.filename}: {err.strerror}{_advice(err)}"
    if isinstance(err, OSError) and err.errno in _WRITING:
        where = f"standard output, or a temporary file in {tempfile.gettempdir()} (TMPDIR names another folder)"
        return USER_ERROR, f"cannot write to {where}: {err.strerror}{_advice(err)}"
    return None


def _advice(err: BaseException | None) -> str:
    full = isinstance(err, OSError) and err.errno in (errno.ENOSPC, errno.EDQUOT)
    return "; make room there, or choose another place" if full else ""
