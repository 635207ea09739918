"""Convert public PyTorch weights of BiSeNetV2 to a checkpoint of this repository, or the other way round.

A file of the backbone alone, with or without a dictionary per part, becomes a checkpoint to fine-tune from.
A configuration for ``--config`` is written beside the checkpoint, with everything that the weights determine, variant
of the network, classes and normalisation, over a base that may be exchanged. PyTorch is needed only for the conversion,
in this or another interpreter; *.safetensors need the package safetensors instead (requirements/safetensors.txt).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.errors import ConfigError
from src.base.files import require_new, write_whole
from src.base.paths import user_path, user_program
from src.convert import converting
from src.convert.families import FAMILIES
from src.state import checkpoint
from src.utils.config import Parser
from src.utils.entry import run_entry
from src.utils.logger import setup_logging
from src.utils.runtime import init_device

logger = logging.getLogger(__name__)


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Convert as the command line says; return 0."""
    args = parse_args(argv)
    setup_logging(None)
    init_device("CPU", None, ms_mode=0, num_threads=None)
    if args.reverse:
        to_torch(args)
    else:
        from_torch(args)
    return 0


def from_torch(args: argparse.Namespace) -> None:
    """Write the checkpoint and its configuration."""
    values, classes = converting.read_torch_file(args.torch_file, args.torch_python, args.weights)
    family = converting.choose_family(values, args.source, args.torch_file)
    weights = converting.from_torch(values, family, args.torch_file)
    configuration = args.output.with_suffix(".yml")
    num_classes = converting.classes_in(weights)
    text = converting.configuration_for(family, num_classes, classes)
    origin = converting.origin_of(family, num_classes, classes)
    checkpoint.write_atomically({**origin.entry(), **weights}, args.output)
    title = f"# For {args.output.name}: {family.name} weights from {args.torch_file.name}.\n"
    title += converting.ADVICE.format(configuration.name)
    write_whole(configuration, (title + text).encode())
    what = "backbone only: for --finetune_ckpt" if num_classes is None else f"{num_classes} classes"
    logger.info("checkpoint: %s, %s", args.output, what)
    logger.info("configuration: %s, for --config", configuration)


def to_torch(args: argparse.Namespace) -> None:
    """Write the PyTorch state dict."""
    values = checkpoint.read_checkpoint(args.checkpoint_path)
    values = checkpoint.choose_weights(values, args.weights or "model", args.checkpoint_path)
    tensors, family = converting.to_torch(values, args.source, args.checkpoint_path)
    converting.write_torch_file(tensors, args.output, args.torch_python)
    logger.info("PyTorch state dict: %s, %d tensors by the names of %s", args.output, len(tensors), family.name)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line.

    Raises:
        ConfigError: an option is missing or not allowed.
        UserError: a file would be overwritten, or its folder does not exist.
    """
    parser = Parser("scripts/convert_torch_checkpoint.py", description=__doc__)
    parser.add_argument("--torch_file", type=user_path, help="the PyTorch weights, *.pth, *.pt or *.safetensors")
    parser.add_argument("--reverse", action="store_true", help="write PyTorch weights from --checkpoint_path")
    parser.add_argument("--checkpoint_path", type=user_path, help="with --reverse: the checkpoint, *.ckpt")
    parser.add_argument("--output", type=user_path, required=True, help="what to write: *.ckpt, with --reverse *.pth")
    parser.add_argument(
        "--source",
        choices=("auto", *FAMILIES),
        default="auto",
        help="whose weights: bisenet of CoinCheung/BiSeNet, mmseg of open-mmlab/mmsegmentation (default %(default)s)",
    )
    parser.add_argument(
        "--weights",
        help="which weights of a file that holds several: model, ema (averaged), or a PyTorch entry's own name",
    )
    parser.add_argument(
        "--torch_python", type=user_program, default=sys.executable, help="interpreter with PyTorch, default this one"
    )
    args = parser.parse_args(argv)
    needed, other = ("checkpoint_path", "torch_file") if args.reverse else ("torch_file", "checkpoint_path")
    if getattr(args, needed) is None or getattr(args, other) is not None:
        raise ConfigError(f"{'with' if args.reverse else 'without'} --reverse give --{needed} and no --{other}")
    if args.reverse and args.weights not in (None, "model", "ema"):
        raise ConfigError(f"--weights {args.weights}: with --reverse model or ema")
    if not args.reverse and args.output.suffix != ".ckpt":
        raise ConfigError(f"--output {args.output}: a checkpoint's name ends in .ckpt")
    targets = (args.output,) if args.reverse else (args.output, args.output.with_suffix(".yml"))
    require_all_new(targets)
    claims.hold_file(*targets[:1], "conversion", "--output", *targets[1:])
    require_all_new(targets)  # again: another process may have written them meanwhile
    return args


def require_all_new(targets: Sequence[Path]) -> None:
    """Raise a UserError if one of the files exists, or their folder does not."""
    for path in targets:
        require_new(path)


if __name__ == "__main__":
    run_entry(main)
