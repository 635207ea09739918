"""Quantize the convolutions of an exported .onnx to 8 bits, and report the loss of mIoU and the gain in speed.

Calibrates on training pictures and scores both models on the validation pictures. Takes --config, --num_classes,
--num_threads and section.key=value like eval.py. Needs requirements/onnx.txt, but not MindSpore.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.errors import ConfigError
from src.base.files import require_new
from src.base.paths import user_path
from src.config import schema
from src.config.schema_base import QUANTIZE
from src.offline import onnx_model, quantizing
from src.offline.descriptions import description_path
from src.offline.onnx_model import OnnxModel
from src.offline.preparing import match_file
from src.utils.config import Parser, boolean, parse_config, whole_number
from src.utils.entry import run_entry
from src.utils.logger import setup_logging

logger = logging.getLogger(__name__)


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Quantize as the command line says; return 0."""
    config, args = parse_args(argv)
    setup_logging(None)
    target = check_target(args.model, args.output)
    claims.hold_file(target, "quantization", "--output", description_path(target))
    check_target(args.model, args.output)  # again: another process may have written it meanwhile
    message = onnx_model.load(args.model)
    record = quantizing.description(message, args.model)
    model = OnnxModel(args.model, num_threads=config.num_threads)
    config = match_file(config, args.model)
    pictures, labelled = (quantizing.open_samples(config, model.input, split) for split in ("train", "val"))
    how = {
        "images": min(args.images, len(pictures)),
        "all_operators": args.all_operators,
        "reduce_range": quantizing.needs_reduced_range(),
    }
    if how["reduce_range"]:
        logger.info("no VNNI here: weights have 7 bits, since products of 8 bits could overflow on such a CPU")
    with tempfile.TemporaryDirectory() as folder:
        logger.info("calibrating on %d of %d training pictures", how["images"], len(pictures))
        quantized = quantizing.quantize(message, Path(folder) / "int8.onnx", pictures, **how, source=args.model)
        models = {"float": model, "int8": OnnxModel(Path(folder) / "int8.onnx", num_threads=config.num_threads)}
        logger.info("scoring both on %d validation pictures", len(labelled))
        scores = quantizing.evaluate(models, labelled, config)
    record["quantization"] = quantizing.quantization_record(scores, **how)
    quantizing.publish(quantized, target, record)
    print("\n".join(quantizing.report(scores, quantized)))
    logger.info("written: %s and %s", target, description_path(target).name)
    return 0


def parse_args(argv: Sequence[str] | None) -> tuple[schema.Config, argparse.Namespace]:
    """Read the command line: the configuration, and the options that are not part of it."""
    own = Parser(f"{QUANTIZE}.py", add_help=False)
    own.add_argument("--model", type=user_path, default=None, help="the .onnx that export.py wrote")
    own.add_argument(
        "--output", type=user_path, default=None, help="file to write, default <model>_int8.onnx beside it"
    )
    own.add_argument("--images", type=whole_number, default=20, help="training pictures to calibrate on, default 20")
    own.add_argument(
        "--all_operators", type=boolean, default=False, help="8 bits wherever ONNX Runtime can (default False)"
    )
    args, rest = own.parse_known_args(argv)
    config = parse_config(rest, QUANTIZE, own)
    if args.model is None:
        raise ConfigError("--model is missing: the .onnx that export.py wrote")
    if args.images < 1:
        raise ConfigError("--images 0: calibration needs at least one picture")
    return config, args


def check_target(model: Path, output: Path | None) -> Path:
    """Return the file to write, after a check that nothing would be overwritten.

    Raises:
        ConfigError: the output does not end in .onnx.
        UserError: the output or its description exists already, or the folder does not exist.
    """
    target = output or model.with_name(f"{model.stem}_int8.onnx")
    if target.suffix != ".onnx":
        raise ConfigError(f"--output {target}: must end in .onnx")
    for path in (target, description_path(target)):
        require_new(path)
    return target


if __name__ == "__main__":
    run_entry(main)
