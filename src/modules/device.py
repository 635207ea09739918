"""Where the networks of a program run that does not set MindSpore up as the scripts do."""

from __future__ import annotations

from src.base.errors import UserError
from src.config import schema
from src.utils.local_adapter import cap_onednn, on_cpu, set_cpu_threads, set_device


def use_device(config: schema.Config) -> None:
    """Choose device and threads where they are configured; all else stays as the program has it.

    Raises:
        UserError: MindSpore has no such device here, or its threads are running already.
    """
    cap_onednn()
    if config.device_target:
        set_device(config.device_target, config.device_id or 0)
    if config.num_threads and on_cpu():
        try:
            set_cpu_threads(config.num_threads)
        except RuntimeError as err:
            raise UserError("num_threads: MindSpore takes them once in a process, before anything has run") from err
