"""Environment variables whose bad values make MindSpore abort on import, without a usable message."""

from __future__ import annotations

from collections.abc import MutableMapping

from src.base.errors import UserError

LARGEST_DEVICE = 2**31 - 1
LEVELS = ("GLOG_v", "GLOG_stderrthreshold")


def check_environment(environment: MutableMapping[str, str]) -> None:
    """Refuse values that MindSpore cannot be imported with; a blank DEVICE_ID is removed.

    Raises:
        UserError: a variable has such a value; the message says which values it takes.
    """
    device = environment.get("DEVICE_ID", "").strip()
    if device and not (device.isascii() and device.isdigit() and int(device.lstrip("0")[:11] or 0) <= LARGEST_DEVICE):
        raise _bad_value("DEVICE_ID", "a non-negative integer, the number of a device", device)
    if not device:
        environment.pop("DEVICE_ID", None)
    threads = environment.get("OMP_NUM_THREADS", "").strip()  # one for each level of nesting
    if threads and not all(_is_count(part.strip()) for part in threads.split(",")):
        raise _bad_value("OMP_NUM_THREADS", "a number of threads from 1 on", threads)
    for name in LEVELS:
        level = environment.get(name, "")
        if level and level not in ("0", "1", "2", "3", "4"):
            raise _bad_value(name, "a level from 0 (debug) to 4 (critical)", level)
    to_stderr = environment.get("GLOG_logtostderr", "")
    if to_stderr not in ("", "0", "1"):
        raise _bad_value("GLOG_logtostderr", "0 or 1", to_stderr)
    if to_stderr == "0" and not environment.get("GLOG_log_dir"):
        raise UserError("environment variable GLOG_logtostderr is 0, so GLOG_log_dir must name a folder; or unset it")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:11]) <= LARGEST_DEVICE


def _bad_value(name: str, expected: str, text: str) -> UserError:
    return UserError(f"environment variable {name} must be {expected}; got {text[:40]!r}; set it so, or unset it")
