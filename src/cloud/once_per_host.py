"""Work that the first process of a host does for all of them, before they have any other way to talk.

The first process keeps a file that says how far it is and which process it is. The others believe it only as long as
that process lives: what an earlier run left behind says nothing, whatever it says.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from src.base.errors import UserError
from src.base.files import make_folder, write_whole
from src.base.json_text import read_json
from src.base.living import process_identity

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
START_SECONDS = 300.0  # for the first process to show up
UPLOAD_START_SECONDS = 10.0  # for the first process to end its training, too; it may be stuck where another failed
TOLD_SECONDS = 120.0  # for all others to read why it failed; some may still be loading MindSpore
STATE = "state.json"
AFTERWARDS = ("done", "uploading", "uploaded")  # how far the first process is once the work is done


def once_per_host(
    folder: Path, place: tuple[int, int], work: Callable[[], dict[str, str]], limit: float
) -> dict[str, str]:
    """Return what `work` returns: called by the first process of the host, read from its file by the others.

    Args:
        folder: where they meet; the same for all of them, and for no other job that runs now.
        place: number of this process on the host, and how many there are.
        work: returns texts by name.
        limit: seconds after which the others give up.

    Raises:
        UserError: the work failed, with its reason, in every process; the first process is gone or too slow; or the
            folder belongs to another job that still runs.
    """
    local_rank, local_size = place
    return _do(folder, local_size, work) if local_rank == 0 else _wait(folder, local_rank, limit)


def _do(folder: Path, local_size: int, work: Callable[[], dict[str, str]]) -> dict[str, str]:
    make_folder(folder)
    me, other = process_identity(os.getpid()), _state(folder).get("owner", "")
    if other not in ("", me):
        raise UserError(f"process {other.split(':')[0]} of this machine runs the same job already, in {folder}")
    _publish(folder, me, "working")
    try:
        result = work()
    except BaseException as err:
        _publish(folder, me, "failed", reason=str(err) or type(err).__name__)
        end = time.monotonic() + TOLD_SECONDS
        while time.monotonic() < end and not all(_told(folder, rank) == me for rank in range(1, local_size)):
            time.sleep(POLL_SECONDS)
        raise
    _publish(folder, me, "done", **result)
    return result


def _wait(folder: Path, local_rank: int, limit: float) -> dict[str, str]:
    begin = time.monotonic()
    seen = ""  # the first process, once it showed up
    while time.monotonic() < begin + limit:
        state = _state(folder)
        if state:
            seen = state["owner"]
            if state["state"] in AFTERWARDS:
                return {name: value for name, value in state.items() if name not in ("owner", "state")}
            if state["state"] == "failed":
                write_whole(folder / f"told_{local_rank}", seen.encode())
                raise UserError(state["reason"])
        elif seen:
            raise UserError(f"the first process of this host ({seen.split(':')[0]}) ended while the others waited")
        elif time.monotonic() > begin + START_SECONDS:
            raise UserError(f"the first process of this host did not show up within {START_SECONDS:g} s in {folder}")
        time.sleep(POLL_SECONDS)
    if seen:
        write_whole(folder / f"told_{local_rank}", seen.encode())  # it need not wait for this one any more
    raise UserError(f"the first process of this host was not done after {limit:g} s (transfer_timeout), given up")


def tell_others(folder: Path, state: str) -> None:
    """Let the other processes of the host know that this one, the first, is at `state` now, one of AFTERWARDS."""
    known = {name: value for name, value in _state(folder).items() if name not in ("owner", "state")}
    _publish(folder, process_identity(os.getpid()), state, **known)


def wait_for_upload(folder: Path, limit: float) -> None:
    """Wait until the first process of the host has uploaded, is gone, or does not even begin within a while."""
    begin = time.monotonic()
    while time.monotonic() < begin + limit:
        state = _state(folder).get("state", "uploaded")
        if state == "uploaded" or (state != "uploading" and time.monotonic() > begin + UPLOAD_START_SECONDS):
            return
        time.sleep(POLL_SECONDS)


def _publish(folder: Path, owner: str, state: str, **more: str) -> None:
    write_whole(folder / STATE, json.dumps({"owner": owner, "state": state, **more}).encode())


def _state(folder: Path) -> dict[str, str]:
    """Return what the first process says, {} if it says nothing or is not alive."""
    with contextlib.suppress(OSError, ValueError):
        state = read_json(folder / STATE)
        if state["owner"] == process_identity(int(state["owner"].split(":")[0])):
            return state
    return {}


def _told(folder: Path, local_rank: int) -> str:
    with contextlib.suppress(OSError):
        return (folder / f"told_{local_rank}").read_text(encoding="utf-8")
    return ""
