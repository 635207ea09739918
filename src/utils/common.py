"""What every entry script does first and last: device, folders, log, seeds; errors and exit codes."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mindspore as ms
import numpy as np

from src.data.cityscapes import CITYSCAPES, CLASSES, map_label, train_id_to_label_id
from src.data.eval_samples import EvalSample
from src.data.image_files import read_image
from src.modules.base_modules import to_mixed_precision
from src.modules.bisenetv2 import BiSeNetV2
from src.utils import config as config_module
from src.utils import schema
from src.utils.checkpoint import list_checkpoints, require_file
from src.utils.errors import ConfigError, UserError
from src.utils.local_adapter import Runtime, discover_rank, init_device
from src.utils.logger import has_logging, setup_logging
from src.utils.visualize import comparison, generic_palette, write_png

logger = logging.getLogger(__name__)

NETWORKS = {"BiSeNetV2": BiSeNetV2}


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


def start(config: schema.Config, save_dir: Path) -> tuple[schema.Config, Runtime]:
    """Set up folder, log, device and seeds, in this order; return the resolved configuration and the runtime.

    Raises:
        UserError: the folder cannot be made or the device is not there.
    """
    rank, _ = discover_rank()
    try:
        save_dir.mkdir(parents=True, exist_ok=True)
        setup_logging(save_dir, rank)
    except OSError as err:
        raise UserError(f"cannot write to {save_dir}: {err.strerror}") from err
    runtime = init_device(config.device_target, config.device_id, config.ms_mode, config.num_threads)
    ms.set_seed(config.seed)
    config = dataclasses.replace(
        config, device_target=runtime.device_target, device_id=runtime.device_id, save_dir=str(save_dir)
    )
    logger.info("configuration:\n%s", config_module.to_yaml(config).rstrip())
    return config, runtime


def dated_folder(parent: str) -> Path:
    """Return a folder name below `parent` that is not taken, after the date and time."""
    base = Path(parent) / time.strftime("%Y%m%d-%H%M%S")
    candidates = [base, *(base.with_name(f"{base.name}-{number}") for number in range(2, 100))]
    return next(path for path in candidates if not path.exists())


def training_folder(config: schema.Config) -> Path:
    """Return the folder of a training run: as asked for, that of the run to resume, or a new dated one.

    Raises:
        ConfigError: it holds another run already.
        CheckpointError: the checkpoint to start from does not exist.
    """
    for path in filter(None, (config.resume_ckpt, config.finetune_ckpt)):
        require_file(path)
    own_folder = None  # of the run to resume
    if config.resume_ckpt and Path(config.resume_ckpt).resolve().parent.name == "checkpoints":
        own_folder = Path(config.resume_ckpt).resolve().parent.parent
    if config.save_dir is None:
        return own_folder or dated_folder("runs")
    save_dir = Path(config.save_dir)
    occupied = list_checkpoints(save_dir / "checkpoints") or (save_dir / "metrics.jsonl").exists()
    if occupied and save_dir.resolve() != own_folder:
        raise ConfigError(f"{save_dir} holds a run already; continue it with --resume_ckpt, or take another --save_dir")
    return save_dir


def write_config(config: schema.Config, save_dir: Path) -> None:
    """Write the resolved configuration to ``config.yml``, or beside one that is there under a dated name.

    What belongs to this invocation alone stands in comments, so that the file serves as ``--config`` of another run.
    """
    path = save_dir / "config.yml"
    if path.exists():
        path = save_dir / f"config-{time.strftime('%Y%m%d-%H%M%S')}.yml"
    values = config_module.to_dict(config)
    lines = [f"# {name}: {values.pop(name)}\n" for name in config_module.RUN_KEYS]
    path.write_text("".join(lines) + config_module.dump(values), encoding="utf-8")


def create_network(config: schema.Config, *, aux_heads: bool) -> BiSeNetV2:
    """Make the configured network, in mixed precision if so configured."""
    arguments = dataclasses.asdict(config.net_args)
    network = NETWORKS[config.net](config.num_classes, aux_heads=aux_heads, seed=config.seed, **arguments)
    if config.mix:
        to_mixed_precision(network)
    return network


def class_names(config: schema.Config) -> tuple[str, ...]:
    """Return the names of the classes, by train id."""
    if config.data.class_names:
        return config.data.class_names
    if config.data.name == CITYSCAPES:
        return tuple(cls.name for cls in CLASSES)
    return tuple(f"class {number}" for number in range(config.num_classes))


def class_palette(config: schema.Config) -> np.ndarray:
    """Return the RGB colour of each class, (num_classes, 3) uint8."""
    if config.data.name == CITYSCAPES:
        return np.array([cls.color for cls in CLASSES], np.uint8)
    return generic_palette(config.num_classes)


class PredictionWriter:
    """Write what `save_images` and `save_predictions` ask for, image by image."""

    def __init__(self, config: schema.Config) -> None:
        self.images = Path(config.save_dir) / "images" if config.save_images else None
        self.predictions = Path(config.save_predictions) if config.save_predictions else None
        for folder in filter(None, (self.images, self.predictions)):
            folder.mkdir(parents=True, exist_ok=True)
        self.names, self.palette = class_names(config), class_palette(config)
        self.ignore_label = config.data.ignore_label
        self.to_file_values = (
            train_id_to_label_id() if config.data.name == CITYSCAPES else np.arange(256, dtype=np.uint8)
        )

    def __call__(self, sample: EvalSample, prediction: np.ndarray) -> None:
        """Write the pictures of one sample; `prediction` (H, W) uint8 has the label's size."""
        if self.predictions:
            name = sample.stem.replace("_leftImg8bit", "") + "_pred_labelIds.png"
            write_png(self.predictions / name, map_label(prediction, self.to_file_values))
        if self.images:
            picture = comparison(
                read_image(sample.image_path), sample.label, prediction, self.palette, self.names, self.ignore_label
            )
            write_png(self.images / f"{sample.stem}.png", picture)
