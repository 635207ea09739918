"""The frame of every entry script: its exit code and what a mistake of the user's looks like. Needs no MindSpore."""

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
_last: list[Callable[[int], int]] = []


def end_with(hook: Callable[[int], int]) -> None:
    """Let `run_entry` call `hook` as its last thing: with the exit code, and it returns the one to end with."""
    if hook not in _last:
        _last.append(hook)


def run_entry(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run an entry script and exit with its code.

    A mistake of the user's or a file that cannot be written gives 2 and one line, a signal that asks for a stop 128 and
    its number and one line, a bug 1 and a traceback. As the last thing what `end_with` was given is called, whatever
    happened before.
    """
    if is_scheduler():  # msrun starts the script in this role, too; it trains nothing
        expect_slow_start()
        become_scheduler(scheduler_answer_delay())
    stops.end_by_signals()
    gc.freeze()  # what MindSpore's import made stays: going through it at the end takes a third of a second
    keep_early_records()
    try:
        code = main(None)
        finish_stdout()
    except BaseException as err:  # noqa: BLE001 - told below, or raised again
        stops.restore_stderr()
        code = _finish(_tell(err))
        if _belongs_to_a_job():
            end_at_once(code)  # MindSpore would wait for the other ranks, which wait for this one
        sys.exit(code)
    stops.restore_stderr()  # where a signal's exception got lost in a library, and the work was done nevertheless
    end_process(_finish(code))


def _finish(code: int) -> int:
    for hook in _last:
        code = hook(code)
    stops.exit_on_signals(code)
    return code


def _tell(err: BaseException) -> int:
    """Write what went wrong where users look for it; return the exit code."""
    told = describe_failure(err)
    if told is None and (isinstance(err, SystemExit) or not has_logging()):
        raise err
    code, text = told or (1, "unexpected error")
    if has_logging():
        logger.error(text, exc_info=None if told else err)
    else:
        sys.stderr.write(f"error: {text}\n" if code == USER_ERROR else f"{text}\n")
    return code


def _belongs_to_a_job() -> bool:
    try:
        return discover_rank().rank_size > 1
    except UserError:
        return False
