"""Set-up of the entry scripts that run a network: configuration, device, folder, log, seeds."""

from __future__ import annotations

import dataclasses
import logging
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mindspore as ms

from src.base.errors import UserError
from src.base.files import make_folder
from src.config import schema
from src.config.summary import log_configuration
from src.distributed.communicator import Communicator
from src.utils.ascend_settings import apply_settings
from src.utils.config import DEFAULT_CONFIG, parse_config
from src.utils.local_adapter import discover_rank
from src.utils.logger import setup_logging
from src.utils.runtime import Runtime, init_device, join_job

logger = logging.getLogger(__name__)


def configure(argv: Sequence[str] | None, script: str) -> schema.Config:
    """Read the command line of an entry script; in a cloud job, also fetch the input.

    Raises:
        UserError: see `parse_config`, and `begin` of `src/utils/modelarts.py`.
    """
    config = parse_config(argv, script)
    if not config.modelarts:
        return config
    from src.utils import modelarts  # only cloud jobs load the object store

    return modelarts.begin(config, script)


def set_up_run(
    config: schema.Config, choose_folder: Callable[[schema.Config], Path] | None
) -> tuple[schema.Config, Runtime, Communicator]:
    """Set up folder, log, device and seeds; return the resolved configuration, the runtime and the communicator.

    With several ranks, rank 0 chooses the folder once all are connected, and the first rank of each host creates it.

    Args:
        config: all settings.
        choose_folder: checks and returns the folder of the results; None logs to the console only.

    Raises:
        UserError: the folder cannot be created or the device is missing.
    """
    placement = discover_rank()
    alone, save_dir = placement.rank_size == 1, None
    if alone and choose_folder:
        save_dir = choose_folder(config)
    _open_log(save_dir, placement.rank)
    runtime = init_device(config.device_target, config.device_id, config.ms_mode, config.num_threads)
    apply_settings(config, runtime.device_target)
    if not alone:
        runtime = dataclasses.replace(runtime, rank=join_job(placement, runtime.device_target))
    communicator = Communicator(runtime.rank, runtime.rank_size)
    if not alone and choose_folder:
        save_dir = Path(communicator.broadcast_text(str(choose_folder(config)) if runtime.rank == 0 else ""))
        if runtime.local_rank == 0:
            make_folder(save_dir)
        communicator.barrier()
        _open_log(save_dir, runtime.rank)
        logger.info("rank %d of %d on %s, by %s", *communicator.place, platform.node(), runtime.launcher)
    if config.modelarts:
        from src.utils import modelarts

        modelarts.watch(runtime.local_rank, communicator.broadcast_text(platform.node()) == platform.node())
    ms.set_seed(config.seed)
    found: dict[str, Any] = {"device_target": runtime.device_target, "device_id": runtime.device_id}
    config = dataclasses.replace(config, **found, save_dir=None if save_dir is None else str(save_dir))
    log_configuration(config, DEFAULT_CONFIG)
    return config, runtime, communicator


def _open_log(save_dir: Path | None, rank: int) -> None:
    if save_dir is not None:
        make_folder(save_dir)
    try:
        setup_logging(save_dir, rank)
    except OSError as err:
        raise UserError(f"cannot write to {save_dir}: {err.strerror}") from err
