"""Steps of preprocess.py: match the configuration to the model, and write the input files."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

from src.base.errors import ConfigError
from src.base.files import make_folder, write_whole
from src.base.progress import Progress
from src.config import schema
from src.config.builder import with_image_size
from src.config.schema_base import refuse
from src.data.classes import class_names, class_palette, class_problems
from src.data.eval_samples import EvalSample, EvalSamples
from src.data.normalization import likely_cause, normalization_of, same_normalization, warn_of_two_normalizations
from src.data.transforms.common import Normalize
from src.offline.descriptions import description_path, read_description
from src.offline.manifest import Manifest, ManifestSample, input_name

logger = logging.getLogger(__name__)


def match_model(config: schema.Config) -> schema.Config:
    """Return the configuration for the input of the model that ``model_path`` names; keys that are set must agree.

    Raises:
        ConfigError: the configuration contradicts the description of the model.
        ModelError: the model is a .onnx that cannot be used.
    """
    if config.model_path is None:
        warn_of_two_normalizations(config.data)
        return dataclasses.replace(config, input=config.input or "float32")
    path = Path(config.model_path)
    model = read_description(path)
    if model is None:
        warn_of_two_normalizations(config.data)
        logger.warning("no %s beside the model; assuming the configured input", description_path(path))
        return dataclasses.replace(config, input=config.input or "float32")
    for name in ("input", "image_size", "num_classes"):
        given, has = getattr(config, name), getattr(model, name)
        if given is not None and has is not None and given != has:
            hint = "; give the model's configuration with --config" if name == "num_classes" else ""
            raise ConfigError(f"{name} is {given}, but {model.source} says that the model has {has}{hint}")
    configured = json.loads(json.dumps(dataclasses.asdict(normalization(config))))
    if model.input == "float32" and model.normalize is not None and not same_normalization(configured, model.normalize):
        raise ConfigError(
            f"Normalize is {configured}, but {model.source} says that the model was trained with {model.normalize}: "
            f"{likely_cause(configured, model.normalize)}"
        )
    refuse([f"{model.source}: {line}" for line in class_problems(config, model.num_classes, model.class_names)])
    try:
        return with_image_size(dataclasses.replace(config, input=model.input), model.image_size)
    except ConfigError as err:
        raise ConfigError(f"{model.source} says image_size {list(model.image_size)}: {err}") from err


def match_file(config: schema.Config, path: Path) -> schema.Config:
    """Return the configuration for the input of the model at `path`, ignoring its own keys for a model.

    Raises:
        ConfigError: see `match_model`.
        ModelError: see `match_model`.
    """
    return match_model(dataclasses.replace(config, model_path=str(path), input=None, image_size=None))


def normalization(config: schema.Config) -> Normalize:
    """Return the transform that normalises evaluation pictures."""
    return normalization_of(config.data.eval_transforms.item_transforms)


def new_manifest(config: schema.Config, stems: list[str]) -> Manifest:
    """Return the manifest of a run that has not written any samples yet."""
    assert config.input is not None  # the model's, or the default
    return Manifest(
        input=config.input,
        image_size=config.data.eval_transforms.target_size,
        num_classes=config.num_classes,
        ignore_label=config.data.ignore_label,
        class_names=class_names(config),
        palette=tuple(map(tuple, class_palette(config).tolist())),
        samples=(),
        stems=tuple(stems),
        complete=False,
    )


def write_inputs(samples: EvalSamples, manifest: Manifest, folder: Path) -> int:
    """Write ``image/<stem>.bin`` and ``label/<stem>.bin`` of all samples, and the manifest; return the bytes of inputs.

    An incomplete manifest is written first, so that the next run knows the files of a run that was stopped.

    Raises:
        UserError: something cannot be written.
        DataError: a picture or label cannot be read.
    """
    for name in ("image", "label"):
        make_folder(folder / name)
    manifest.write(folder)
    written, total = [], 0
    with Progress(len(samples), "prepared", say=logger.debug) as progress:
        for sample in samples.read_ahead():
            total += _write_sample(sample, folder)
            path = str(Path(sample.image_path).resolve())
            written.append(ManifestSample(sample.stem, path, sample.fitted, sample.original))
            progress.advance()
    dataclasses.replace(manifest, samples=tuple(written), complete=True).write(folder)
    return total


def _write_sample(sample: EvalSample, folder: Path) -> int:
    name = input_name(sample.stem)
    assert sample.label is not None  # what has none cannot be scored later
    write_whole(folder / "image" / name, sample.image.tobytes(), "the input ")
    write_whole(folder / "label" / name, sample.label.tobytes(), "the label ")
    return sample.image.nbytes
