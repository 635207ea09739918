"""Make a small data set of rendered street scenes in the layout of Cityscapes, to try training without a download.

All 19 classes occur. The same options give the same pictures, and picture i does not depend on how many there are.
A folder that holds this data set already is reused; one that was interrupted is completed; any other is refused.

Usage: python scripts/make_demo_dataset.py --output DIR [--size 256 512] [--train 160] [--val 24] [--seed 0]
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.cores import usable_cores
from src.base.errors import TerminatedError, UserError
from src.base.paths import user_path
from src.base.progress import Progress
from src.utils.config import Parser
from tools.streets.dataset import DemoOptions, make_scenes, missing_scenes


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    default = DemoOptions()
    parser = Parser("scripts/make_demo_dataset.py", description=__doc__)
    parser.add_argument("--output", required=True, type=user_path, help="folder of the data set")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=[default.height, default.width],
        metavar=("H", "W"),
        help="height and width in pixels (default: %(default)s)",
    )
    for split in ("train", "val", "test"):
        number = getattr(default, split)
        parser.add_argument(f"--{split}", type=int, default=number, help=f"number of {split} pictures ({number})")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of all random numbers (%(default)s)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes (%(default)s here)")
    return parser.parse_args(argv)


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Make the data set; return the exit code."""
    try:
        args = parse_args(argv)
        if args.workers < 1:
            raise UserError(f"workers must be at least 1, got {args.workers}")
        height, width = args.size
        options = DemoOptions(height, width, train=args.train, val=args.val, test=args.test, seed=args.seed)
        claims.hold_folder(args.output, "rendering", "--output")
        _make(args.output, options, args.workers)
    except UserError as err:
        sys.stderr.write(f"error: {err}\n")
        return 2
    except TerminatedError:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        return 130
    return 0


def _make(root: Path, options: DemoOptions, workers: int) -> None:
    """Make the missing pictures and report progress."""
    total, missing = len(options.scenes()), missing_scenes(root, options)
    if not missing:
        print(f"{root} holds these {total} pictures already; nothing to do")
        return
    if len(missing) < total:
        print(f"{root}: {total - len(missing)} of {total} pictures are there already")
    progress = Progress(len(missing), "made", "pictures", partial(print, flush=True))
    with progress:
        for _ in make_scenes(root, options, missing, min(workers, len(missing))):
            progress.advance()
    print(f"{root}: {options.train} training and {options.val} validation pictures, {options.height}x{options.width}")


if __name__ == "__main__":
    sys.exit(main())
