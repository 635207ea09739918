"""What the entry scripts that run a network do first: device, folders, log, seeds, network."""

from __future__ import annotations

import dataclasses
import logging
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mindspore as ms

from src.base.errors import ConfigError, UserError
from src.base.files import make_folder
from src.config import schema, yaml_files
from src.distributed.communicator import Communicator
from src.state import checkpoint
from src.utils import config as config_module
from src.utils.ascend_settings import apply_settings
from src.utils.local_adapter import discover_rank
from src.utils.logger import setup_logging
from src.utils.runtime import Runtime, init_device

logger = logging.getLogger(__name__)


def configure(argv: Sequence[str] | None, script: str) -> schema.Config:
    """Read the command line of an entry script; in a cloud job, fetch what it names.

    Raises:
        UserError: see `load_config`, and `begin` of `src/utils/modelarts.py`.
    """
    config = config_module.load_config(argv, script)
    if not config.modelarts:
        return config
    from src.utils import modelarts  # what it takes to talk to an object store loads in cloud jobs alone

    return modelarts.begin(config, script)


def start(
    config: schema.Config, choose_folder: Callable[[schema.Config], Path] | None
) -> tuple[schema.Config, Runtime, Communicator]:
    """Set up folder, log, device and seeds; return the resolved configuration, the runtime and the way to other ranks.

    Without a folder the log goes to the console only. With several ranks rank 0 chooses the folder, once they have met,
    and the first rank of each host makes it.

    Args:
        config: the configuration.
        choose_folder: checks and returns the folder of the results.

    Raises:
        UserError: the folder cannot be made or the device is not there.
    """
    placement = discover_rank()
    alone, save_dir = placement.rank_size == 1, None
    if alone and choose_folder:
        save_dir = choose_folder(config)
    _open_log(save_dir, placement.rank)
    runtime = init_device(config.device_target, config.device_id, config.ms_mode, config.num_threads)
    apply_settings(config, runtime.device_target)
    others = Communicator(runtime.rank, runtime.rank_size)
    if not alone and choose_folder:
        save_dir = Path(others.text_of_rank_0(str(choose_folder(config)) if runtime.rank == 0 else ""))
        if runtime.local_rank == 0:
            make_folder(save_dir)
        others.wait_for_all()
        _open_log(save_dir, runtime.rank)
        logger.info("rank %d of %d on %s, by %s", *others.place, platform.node(), runtime.launcher)
    if config.modelarts:
        from src.utils import modelarts

        modelarts.watch(runtime.local_rank, others.text_of_rank_0(platform.node()) == platform.node())
    ms.set_seed(config.seed)
    config = dataclasses.replace(
        config, device_target=runtime.device_target, device_id=runtime.device_id, save_dir=save_dir and str(save_dir)
    )
    logger.info("configuration:\n%s", config_module.to_yaml(config).rstrip())
    return config, runtime, others


def _open_log(save_dir: Path | None, rank: int) -> None:
    if save_dir is not None:
        make_folder(save_dir)
    try:
        setup_logging(save_dir, rank)
    except OSError as err:
        raise UserError(f"cannot write to {save_dir}: {err.strerror}") from err


def dated_folder(parent: str) -> Path:
    """Return a folder name below `parent` that is not taken, after the date and time."""
    base = Path(parent) / time.strftime("%Y%m%d-%H%M%S")
    candidates = [base, *(base.with_name(f"{base.name}-{number}") for number in range(2, 100))]
    return next(path for path in candidates if not path.exists())


def training_folder(config: schema.Config) -> Path:
    """Return the folder of a training run: as asked for, that of the run to resume, or a new dated one.

    With `auto_resume` it may hold a run, which is continued.

    Raises:
        ConfigError: it holds another run already.
        CheckpointError: the checkpoint to start from does not exist.
    """
    for path in filter(None, (config.resume_ckpt, config.finetune_ckpt)):
        checkpoint.require_file(path)
    own_folder = None  # of the run to resume
    if config.resume_ckpt and Path(config.resume_ckpt).resolve().parent.name == checkpoint.FOLDER:
        own_folder = Path(config.resume_ckpt).resolve().parent.parent
    if config.save_dir is None:
        return own_folder or dated_folder("runs")
    save_dir = Path(config.save_dir)
    occupied = checkpoint.list_checkpoints(save_dir / checkpoint.FOLDER) or (save_dir / "metrics.jsonl").exists()
    if occupied and save_dir.resolve() != own_folder and not resumes_itself(config):
        raise ConfigError(f"{save_dir} holds a run already; continue it with --resume_ckpt, or take another --save_dir")
    return save_dir


def resumes_itself(config: schema.Config) -> bool:
    """Tell whether a run goes on from the newest checkpoint in its own folder; cloud jobs do by default."""
    return config.modelarts if config.auto_resume is None else config.auto_resume


def write_config(config: schema.Config, save_dir: Path) -> None:
    """Write the resolved configuration to ``config.yml``, or beside one that is there under a dated name.

    What belongs to this invocation alone stands in comments, so that the file serves as ``--config`` of another run.
    """
    path = save_dir / "config.yml"
    if path.exists():
        path = save_dir / f"config-{time.strftime('%Y%m%d-%H%M%S')}.yml"
    values = config_module.to_dict(config)
    lines = [f"# {name}: {values.pop(name)}\n" for name in config_module.RUN_KEYS]
    path.write_text("".join(lines) + yaml_files.dump(values), encoding="utf-8")
