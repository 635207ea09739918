"""Measure how fast this code is on this machine and, with --torch, in turns with it, how fast PyTorch is.

Every kind of work runs in a process of its own. Figures of different runs depend on what else the machine does, so
compare frameworks within one run only. Progress goes to standard error.

sections of --only: pipeline (reading training images: made-up ones, or those of --dataset_dir as --config says; 8
batches, by 1 thread and by one for each core), forward, exported (a MindIR, folded or not, with class map or logits; on
the CPU also an ONNX file, in float and in 8 bits, in ONNX Runtime where requirements/onnx.txt is installed, and
MindSpore Lite through the C++ runner where MS_LITE_HOME is set), train (one step), evaluation, startup, memory (of
everything else measured, of the forward pass, and of training steps of several shapes, as MB per megapixel), model
(parameters and multiply-adds).

Usage: python scripts/benchmark.py [--torch] [--only forward train] [--profile] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.errors import TerminatedError, UserError
from src.base.files import require_new, write_new
from src.base.paths import user_path, user_program
from src.utils.config import Parser
from tools.benchmark import image_sections, machine, runtimes, sections, training_memory
from tools.benchmark.report import render
from tools.benchmark.sections import SECTIONS, Settings

SMALLEST = 32  # pixels, the network's minimum
PIPELINE_SETTINGS = ("config", "dataset_dir", "workers", "batch_size", "crop_size", "batches")
QUICK = {
    "sizes": ((64, 128),),
    "train_shape": (2, 64, 64),
    "memory_shapes": ((2, 64, 64),),
    "eval_size": (64, 128),
    "crop_size": (64, 64),
    "rounds": 2,
    "runs": 1,
    "batches": 4,
    "eval_images": 2,
    "multi_scale_images": 1,
    "scales": (0.75, 1.0),
}


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        args = parse_args(argv)
        settings = make_settings(args)
        image_sections.check_pipeline(settings)
        results = initial_results(settings, quick=args.quick)
        settings = dataclasses.replace(settings, runtimes=find_runtimes(settings))
        results["settings"]["runtimes"] = settings.runtimes
        try:
            measure(results, settings, profile=args.profile)
        finally:  # measurements before a failure took minutes and are kept
            if any(results.get(name) for name in (*SECTIONS, "steps")):
                print(render(results), flush=True)
        if args.json:
            write_new(args.json, (json.dumps(results, indent=2) + "\n").encode(), "the results ")
    except UserError as err:
        sys.stderr.write(f"error: {err}\n")
        return 2
    except (KeyboardInterrupt, TerminatedError) as err:
        return 130 if isinstance(err, KeyboardInterrupt) else 143
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("scripts/benchmark.py", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="NAME", help="sections")
    parser.add_argument("--torch", action="store_true", help="compare with PyTorch (requirements/torch.txt)")
    parser.add_argument(
        "--torch_python", type=user_program, default=sys.executable, help="interpreter with PyTorch, default this one"
    )
    parser.add_argument("--profile", action="store_true", help="add where forward pass and training step spend time")
    parser.add_argument("--json", type=user_path, default=None, help="file to write everything to, with every sample")
    parser.add_argument("--rounds", type=positive, default=None, help="turns of each framework, default 3")
    parser.add_argument("--sizes", type=size, nargs="+", default=None, help="forward sizes, default 512x1024 1024x2048")
    parser.add_argument("--train_shape", type=shape, default=None, help="training batch, default 2x512x512")
    shapes = "training batches whose memory to measure, default 2x512x512 4x512x512 2x1024x1024"
    parser.add_argument("--memory_shapes", type=shape, nargs="+", default=None, metavar="NxHxW", help=shapes)
    parser.add_argument("--eval_size", type=size, default=None, help="size of the images to read, default 1024x2048")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and two scales, to see that everything runs")
    parser.add_argument("--mix", action="store_true", help="mixed precision: convolutions in float16")
    threads = "threads of the kernels; default: OMP_NUM_THREADS, then all cores"
    parser.add_argument("--num_threads", type=positive, default=None, help=threads)
    parser.add_argument("--device_target", choices=("Ascend", "GPU", "CPU"), default=None, help="MindSpore's device")
    add_pipeline_options(parser)
    return check_options(parser.parse_args(argv))


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the section pipeline, named like the settings; None if they are not given."""
    group = parser.add_argument_group("section pipeline")
    group.add_argument("--config", metavar="FILE", type=absolute, help="configuration whose transforms to run")
    group.add_argument("--dataset_dir", metavar="DIR", type=absolute, help="data set to read, default: made-up images")
    group.add_argument("--workers", metavar="N", type=positive, nargs="+", help="numbers of reading threads to measure")
    group.add_argument("--batch_size", metavar="N", type=positive, help="images a batch")
    group.add_argument("--crop_size", metavar=("H", "W"), type=positive, nargs=2, help="height and width of the crop")
    group.add_argument("--batches", metavar="N", type=positive, help="batches to measure")


def absolute(text: str) -> str:
    """Return the absolute path of a file or folder, as the measuring processes run in another folder."""
    path = user_path(text)
    return str(path.resolve() if path.exists() else path)  # else one of the repository's configurations, or missing


def check_options(args: argparse.Namespace) -> argparse.Namespace:
    """Raise a UserError for options that exclude each other, before anything is measured."""
    if args.json:
        require_new(args.json, "the results ")
        claims.hold_file(args.json, "benchmark", "--json")
    if args.torch and args.mix:
        raise UserError("--mix: PyTorch's part is float32 only; leave out --mix or --torch")
    if args.profile and not {"forward", "train"} & set(args.only):
        raise UserError("--profile: needs forward or train among --only")
    if args.memory_shapes and "memory" not in args.only:
        raise UserError("--memory_shapes: needs memory among --only")
    given = [name for name in PIPELINE_SETTINGS if getattr(args, name) is not None]
    if given and "pipeline" not in args.only:
        raise UserError(f"--{given[0]}: needs pipeline among --only")
    return args


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def size(text: str) -> tuple[int, ...]:
    """Read HEIGHTxWIDTH."""
    return _numbers(text, 2, "HEIGHTxWIDTH")


def shape(text: str) -> tuple[int, ...]:
    """Read IMAGESxHEIGHTxWIDTH."""
    return _numbers(text, 3, "IMAGESxHEIGHTxWIDTH")


def _numbers(text: str, count: int, form: str) -> tuple[int, ...]:
    numbers = tuple(int(word) for word in text.split("x")) if re.fullmatch(r"\d+(x\d+)+", text) else ()
    if len(numbers) != count or min(numbers) < 1 or min(numbers[-2:]) < SMALLEST:
        raise argparse.ArgumentTypeError(f"expected {form} of at least {SMALLEST} pixels, got {text!r}")
    return numbers


def make_settings(args: argparse.Namespace) -> Settings:
    """Turn the command line into settings; missing values come from --quick or the defaults."""
    names = {field.name for field in dataclasses.fields(Settings)}
    given = {name: value for name, value in vars(args).items() if name in names and value is not None}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    given["torch_python"] = args.torch_python if args.torch else None
    return Settings(**{**(QUICK if args.quick else {}), **given})


def find_runtimes(settings: Settings) -> tuple[str, ...]:
    """Return the runtimes to measure beside MindSpore: the installed ones, in float32 on the CPU."""
    is_comparable = not settings.mix and settings.device_target in (None, "CPU")
    return runtimes.available() if is_comparable and "exported" in settings.only else ()


def initial_results(settings: Settings, *, quick: bool) -> dict:
    """Return the results before any measurement: the machine and the settings."""
    about = machine.describe_machine()
    about["threads"] = str(settings.num_threads)
    about["PyTorch"] = machine.torch_version(settings.torch_python) if settings.torch_python else "not run"
    about["ONNX Runtime"] = machine.package_version("onnxruntime", "onnxruntime-gpu")
    return {"machine": about, "settings": {**dataclasses.asdict(settings), "quick": quick}}


def measure(results: dict, settings: Settings, *, profile: bool) -> None:
    """Run the chosen sections and add their values, with every sample, to `results` as they become available."""
    if "model" in settings.only:
        results["model"] = sections.count_model(settings)
    results["steps"] = []
    for group in sections.plan_steps(settings):
        results["steps"] += sections.measure_group(settings, group)
    if profile:
        results["profile"] = sections.profile_steps(settings)
    if {"pipeline", "evaluation"} & set(settings.only):
        measure_reading(results, settings)
    if "memory" in settings.only:  # last: running out of memory then spoils no other section
        results["memory"] = []
        for row in training_memory.measure_memory(settings):
            results["memory"].append(row)


def measure_reading(results: dict, settings: Settings) -> None:
    """Run the sections that read images, as part of `measure`."""
    with image_sections.made_up_images(settings) as root:
        if "pipeline" in settings.only:
            results["pipeline"] = list(image_sections.measure_pipeline(settings, root))
        if "evaluation" in settings.only:
            assert root is not None  # there are pictures made for it
            results["evaluation"] = image_sections.measure_evaluation(settings, root)


if __name__ == "__main__":
    sys.exit(main())
