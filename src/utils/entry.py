"""Exit codes and error output shared by all entry scripts. Does not import MindSpore."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Sequence

from src.base import stops
from src.base.errors import UserError
from src.base.failures import USER_ERROR, describe_failure
from src.base.log_handlers import finish_stdout
from src.distributed.job_end import end_at_once, end_process
from src.distributed.scheduler import become_scheduler
from src.utils.local_adapter import discover_rank, expect_slow_start, is_scheduler, scheduler_answer_delay
from src.utils.logger import has_logging, keep_early_records

logger = logging.getLogger(__name__)
_exit_hooks: list[Callable[[int], int]] = []


def add_exit_hook(hook: Callable[[int], int]) -> None:
    """Let `run_entry` call `hook` before it exits; `hook` gets the exit code and returns the one to exit with."""
    if hook not in _exit_hooks:
        _exit_hooks.append(hook)


def run_entry(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run an entry script and exit with its code.

    A user error or a file that cannot be written gives 2 and one line, a signal that asks to stop 128 plus its number
    and one line, a bug 1 and a traceback. The hooks of `add_exit_hook` are called last, in every case.
    """
    if is_scheduler():  # msrun also starts the script as the scheduler, which does not train
        expect_slow_start()
        become_scheduler(scheduler_answer_delay())
    stops.end_by_signals()
    gc.freeze()  # keep MindSpore's objects out of the final collection, which would take a third of a second
    keep_early_records()
    try:
        code = main(None)
        finish_stdout()
    except BaseException as err:  # noqa: BLE001 - reported below, or raised again
        stops.restore_stderr()
        code = _finish(_report(err))
        if _is_in_job():
            end_at_once(code)  # MindSpore would wait for the other ranks, which wait for this one
        sys.exit(code)
    stops.restore_stderr()  # a library may have swallowed a signal's exception, and the work was finished
    end_process(_finish(code))


def _finish(code: int) -> int:
    for hook in _exit_hooks:
        code = hook(code)
    stops.exit_on_signals(code)
    return code


def _report(err: BaseException) -> int:
    """Report the error in the log, or on standard error without one; return the exit code."""
    explanation = describe_failure(err)
    if explanation is None and (isinstance(err, SystemExit) or not has_logging()):
        raise err
    code, text = explanation or (1, "unexpected error")
    if has_logging():
        logger.error(text, exc_info=None if explanation else err)
    else:
        sys.stderr.write(f"error: {text}\n" if code == USER_ERROR else f"{text}\n")
    return code


def _is_in_job() -> bool:
    try:
        return discover_rank().rank_size > 1
    except UserError:
        return False
