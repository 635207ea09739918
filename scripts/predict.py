"""Predict the classes of an image, of all images below a folder, or of a video, by a checkpoint or an exported model.

Writes class_ids/ (train ids, one channel), color/ and overlay/ (with a legend) below --output, named as the images;
for a video <name>.mp4 and <name>_legend.png. Images keep their size: they are padded for the network, not resized.
An interrupted prediction goes on with --resume True.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.errors import ConfigError
from src.base.files import holds_anything
from src.base.paths import user_path
from src.config import schema
from src.data.classes import class_names, class_palette
from src.offline.models import check_suffix
from src.predict.images import predict_images
from src.predict.inputs import ImageFile, check_output, list_inputs, silence_opencv
from src.predict.outputs import KINDS, ImageWriter
from src.predict.palette import read_palette
from src.predict.predictor import MULTIPLE, Predictor, checkpoint_predictor, model_predictor
from src.predict.record import check_record, make_record, missing_results, write_record
from src.predict.settings import load_settings
from src.predict.video import is_done, predict_video
from src.utils.common import set_up_run
from src.utils.config import Parser, boolean, positive_number, whole_number
from src.utils.entry import run_entry
from src.utils.logger import setup_logging

logger = logging.getLogger(__name__)


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Predict as the command line says; return 0, or 2 if images could not be read."""
    args = parse_args(argv)
    silence_opencv()
    files = list_inputs(args.input)
    check_output(args.output, args.input, resume=args.resume)
    claims.hold_folder(args.output, "prediction", "--output", parts=KINDS)
    check_output(args.output, args.input, resume=args.resume)  # anew: another process may have filled it
    protocol = {"multi_scale": args.multi_scale, "flip": args.flip, "device_target": args.device_target}
    options = ["--weights", args.weights]
    options += ["--num_threads", str(args.num_threads)] if args.num_threads is not None else []
    model = args.checkpoint_path or args.model
    config = load_settings(model, args.config, keys=[*options, *args.keys], **protocol)
    if args.checkpoint_path and not args.image_size:
        args.image_size = config.image_size
    palette, names = class_palette(config), class_names(config)
    if args.palette:
        palette, names = read_palette(args.palette, names)
    colors = {"palette": palette, "class_names": names}
    record = make_record(config, model, args.input, args.image_size, colors)
    wanted = to_do(args, files, record)
    if not wanted:
        return 0
    predictor, begin = make_predictor(config, args), partial(write_record, args.output, record)
    if not files:  # a video
        pictures = (args.output, palette, names, begin)
        return 2 if predict_video(predictor, args.input, *pictures, config.data.max_pixels) else 0
    begin()
    writer = ImageWriter(args.output, palette, names)
    failed = predict_images(predictor, wanted, writer, config.data.num_parallel_workers, config.data.max_pixels)
    logger.info("results: %s; class_ids hold train ids 0..%d, see palette.txt", args.output, len(names) - 1)
    return 2 if failed else 0


def to_do(args: argparse.Namespace, files: list[ImageFile], record: dict) -> list[Any]:
    """Return the images, or the video, whose results are not there yet: all of them, unless this goes on.

    Raises:
        ConfigError: what is there was made with something else.
    """
    sources = files or [args.input]
    if not holds_anything(args.output):
        return sources
    check_record(args.output, record)
    wanted = missing_results(files, args.output)
    if not files and not is_done(args.input, args.output):
        wanted = sources
    print(f"{len(sources) - len(wanted)} of {len(sources)} results are there already: {args.output}", flush=True)
    return wanted


def make_predictor(config: schema.Config, args: argparse.Namespace) -> Predictor:
    """Make the predictor of a checkpoint or of an exported model, and what it runs on ready."""
    if args.model and check_suffix(args.model) == ".onnx":  # MindSpore's devices do not matter
        setup_logging(None)
    else:
        config, _, _ = set_up_run(config, None)
    if args.model:
        return model_predictor(config, args.model)
    return checkpoint_predictor(config, args.checkpoint_path, args.image_size)


def make_parser() -> Parser:
    """Make the parser of the command line."""
    parser = Parser("scripts/predict.py", description=__doc__)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint_path", type=user_path, help="checkpoint of the network")
    model.add_argument(
        "--model",
        "--mindir",
        type=user_path,
        help="exported model, .mindir (MindSpore runs it) or .onnx (ONNX Runtime); images are fitted to its input size",
    )
    parser.add_argument(
        "--weights", choices=("model", "ema"), default="model", help="those trained, or their average (default model)"
    )
    parser.add_argument("--input", type=user_path, required=True, help="image, folder of images, or video")
    parser.add_argument("--output", type=user_path, required=True, help="folder of the results, new or empty")
    parser.add_argument(
        "--config", type=user_path, help="YAML file (default: <model>.yml beside the model, else Cityscapes)"
    )
    parser.add_argument("--device_target", choices=("Ascend", "GPU", "CPU"), help="default: Ascend if there, else CPU")
    parser.add_argument("--num_threads", type=positive_number, help="threads on the CPU, default: all usable cores")
    parser.add_argument(
        "--image_size",
        type=whole_number,
        nargs=2,
        metavar=("H", "W"),
        help="fit images into this height and width instead of running each at its own; class maps are brought back",
    )
    parser.add_argument("--multi_scale", type=boolean, default=False, help="average over img_ratios (default False)")
    parser.add_argument("--flip", type=boolean, default=False, help="average with the mirrored image (default False)")
    parser.add_argument(
        "--resume",
        type=boolean,
        default=False,
        help="go on in the folder of a prediction that was interrupted; its model and options must be the same",
    )
    parser.add_argument("--palette", type=user_path, help="colours: a line 'R G B [name]' a class, or JSON, a list")
    parser.add_argument("keys", nargs="*", metavar="section.key=value", help="keys of the configuration")
    return parser


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; what contradicts itself is refused."""
    args = make_parser().parse_args(argv)
    if args.model and (args.image_size or args.multi_scale or args.flip):
        raise ConfigError("--model: runs at its own size and scale; no --image_size, --multi_scale or --flip with it")
    if args.model and args.weights != "model":
        raise ConfigError("--weights: is for a checkpoint; a model has the weights that it was exported with")
    if args.image_size and min(args.image_size) < MULTIPLE:
        raise ConfigError(f"--image_size: must be at least {MULTIPLE} {MULTIPLE}")
    return args


if __name__ == "__main__":
    run_entry(main)
