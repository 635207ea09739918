"""Steps of preprocess.py: what the model takes, and the files it is fed from."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

from src.data.eval_samples import EvalSample, EvalSamples
from src.offline.manifest import Manifest, ManifestSample, input_name
from src.utils import schema
from src.utils.config_builder import with_image_size
from src.utils.errors import ConfigError, UserError
from src.utils.files import write_whole
from src.utils.predictions import class_names, class_palette

logger = logging.getLogger(__name__)


def match_model(config: schema.Config) -> schema.Config:
    """Return the configuration with the input of the model that ``mindir_path`` names; what is given must agree.

    Raises:
        ConfigError: the command line and the description beside the model contradict each other.
    """
    if config.mindir_path is None:
        return dataclasses.replace(config, input=config.input or "float32")
    path = Path(config.mindir_path).with_suffix(".json")
    if not path.is_file():
        logger.warning("no %s beside the model: its input is taken to be as configured", path)
        return dataclasses.replace(config, input=config.input or "float32")
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
        takes = {"input": model["input"], "image_size": tuple(model["image_size"]), "num_classes": model["num_classes"]}
        normalize = model["normalize"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ConfigError(f"{path}: is not the description that export.py writes beside a model") from err
    for name, value in takes.items():
        given = getattr(config, name)
        if given is not None and given != value:
            raise ConfigError(f"{name} is {given}, but {path} says that the model has {value}")
    configured = json.loads(json.dumps(dataclasses.asdict(normalization(config))))
    if takes["input"] == "float32" and normalize != configured:
        raise ConfigError(f"Normalize is {configured}, but {path} says that the model was trained with {normalize}")
    return with_image_size(dataclasses.replace(config, input=takes["input"]), takes["image_size"])


def normalization(config: schema.Config) -> schema.Normalize:
    """Return how evaluation pictures are normalised."""
    transforms = config.data.eval_transforms.item_transforms
    return next(transform for transform in transforms if isinstance(transform, schema.Normalize))


def new_manifest(config: schema.Config, stems: list[str]) -> Manifest:
    """Return the manifest of a run that has not written anything yet."""
    return Manifest(
        input=config.input,
        image_size=config.data.eval_transforms.item_transforms[0].target_size,
        num_classes=config.num_classes,
        ignore_label=config.data.ignore_label,
        class_names=class_names(config),
        palette=tuple(map(tuple, class_palette(config).tolist())),
        samples=(),
        stems=tuple(stems),
        complete=False,
    )


def write_inputs(samples: EvalSamples, manifest: Manifest, folder: Path) -> int:
    """Write ``image/<stem>.bin`` and ``label/<stem>.bin`` of all samples, and the manifest; return the inputs' bytes.

    The manifest comes first, incomplete, so that the next run knows the files of one that was stopped.

    Raises:
        UserError: something cannot be written.
        DataError: a picture or label cannot be read.
    """
    try:
        for name in ("image", "label"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise UserError(f"cannot make the folder {folder}: {err.strerror}") from err
    manifest.write(folder)
    written, total = [], 0
    for sample in samples.read_ahead():
        total += _write_sample(sample, folder)
        written.append(
            ManifestSample(sample.stem, str(Path(sample.image_path).resolve()), sample.fitted, sample.original)
        )
    dataclasses.replace(manifest, samples=tuple(written), complete=True).write(folder)
    return total


def _write_sample(sample: EvalSample, folder: Path) -> int:
    name = input_name(sample.stem)
    write_whole(folder / "image" / name, sample.image.tobytes(), "the input ")
    write_whole(folder / "label" / name, sample.label.tobytes(), "the label ")
    return sample.image.nbytes
