"""Work that the first process of a host does for all processes there, before they can communicate otherwise.

The first process keeps a file with its state and identity. The others trust the file only while that process is
running, so that the file of an earlier run is ignored.
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
START_SECONDS = 300.0  # for the first process to start
UPLOAD_START_SECONDS = 10.0  # for the first process to end its training, too; it may hang after a failure elsewhere
FAILURE_READ_SECONDS = 120.0  # for the others to read the failure; some may still be loading MindSpore
STATE = "state.json"
AFTERWARDS = ("done", "uploading", "uploaded")  # states of the first process after the work


def once_per_host(
    folder: Path, place: tuple[int, int], work: Callable[[], dict[str, str]], limit: float
) -> dict[str, str]:
    """Return the result of `work`, which the first process of the host calls and the others read from its file.

    Args:
        folder: shared by all processes of the job on this host, and by no other running job.
        place: number of this process on the host, and how many there are.
        work: returns texts by name.
        limit: seconds after which the others give up.

    Raises:
        UserError: the work failed (raised in every process, with the reason), the first process is gone or too slow, or
            the folder belongs to another running job.
    """
    local_rank, local_size = place
    return _work_for_host(folder, local_size, work) if local_rank == 0 else _wait_for_work(folder, local_rank, limit)


def _work_for_host(folder: Path, local_size: int, work: Callable[[], dict[str, str]]) -> dict[str, str]:
    make_folder(folder)
    me, other = process_identity(os.getpid()), _state(folder).get("owner", "")
    if other not in ("", me):
        raise UserError(f"process {other.split(':')[0]} of this machine runs the same job already, in {folder}")
    _publish(folder, me, "working")
    try:
        result = work()
    except BaseException as err:
        _publish(folder, me, "failed", reason=str(err) or type(err).__name__)
        end = time.monotonic() + FAILURE_READ_SECONDS
        while time.monotonic() < end and not all(_read_receipt(folder, rank) == me for rank in range(1, local_size)):
            time.sleep(POLL_SECONDS)
        raise
    _publish(folder, me, "done", **result)
    return result


def _wait_for_work(folder: Path, local_rank: int, limit: float) -> dict[str, str]:
    begin = time.monotonic()
    seen = ""  # identity of the first process, once it has started
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
        write_whole(folder / f"told_{local_rank}", seen.encode())  # the first process need not wait for this one
    raise UserError(f"the first process of this host was not done after {limit:g} s (transfer_timeout), given up")


def publish_state(folder: Path, state: str) -> None:
    """Publish the `state` of this process, the first of the host, to the others; one of AFTERWARDS."""
    known = {name: value for name, value in _state(folder).items() if name not in ("owner", "state")}
    _publish(folder, process_identity(os.getpid()), state, **known)


def wait_for_upload(folder: Path, limit: float) -> None:
    """Wait until the first process of the host has uploaded or is gone, or has not begun after a while."""
    begin = time.monotonic()
    while time.monotonic() < begin + limit:
        state = _state(folder).get("state", "uploaded")
        if state == "uploaded" or (state != "uploading" and time.monotonic() > begin + UPLOAD_START_SECONDS):
            return
        time.sleep(POLL_SECONDS)


def _publish(folder: Path, owner: str, state: str, **more: str) -> None:
    write_whole(folder / STATE, json.dumps({"owner": owner, "state": state, **more}).encode())


def _state(folder: Path) -> dict[str, str]:
    """Return the state published by the first process, {} if there is none or the process is gone."""
    with contextlib.suppress(OSError, ValueError):
        state = read_json(folder / STATE)
        if state["owner"] == process_identity(int(state["owner"].split(":")[0])):
            return state
    return {}


def _read_receipt(folder: Path, local_rank: int) -> str:
    with contextlib.suppress(OSError):
        return (folder / f"told_{local_rank}").read_text(encoding="utf-8")
    return ""
