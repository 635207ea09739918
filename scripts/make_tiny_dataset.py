"""Make a tiny data set of three classes (background, disc, square) in the format of your own data, in a few seconds.

Writes 24 training and 8 validation pictures of 160x240, labels that hold train ids and 255 along the outlines, and the
lists train.lst and val.lst. The same seed gives the same pixels. A folder that is not empty is refused.

Usage: python scripts/make_tiny_dataset.py --output DIR [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.paths import user_path
from src.utils.config import Parser, whole_number
from src.utils.entry import run_entry
from tools.streets.shapes import COUNTS, SIZE, write_data_set


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Make the data set; return 0."""
    args = parse_args(argv)
    root = args.output
    claims.hold_folder(root, "rendering", "--output")
    for _ in write_data_set(root, args.seed):
        pass
    print(f"{root}: {COUNTS['train']} training and {COUNTS['val']} validation pictures, {SIZE[0]}x{SIZE[1]}, 3 classes")
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("scripts/make_tiny_dataset.py", description=__doc__)
    parser.add_argument("--output", required=True, type=user_path, help="folder of the data set, new or empty")
    parser.add_argument("--seed", type=whole_number, default=0, help="seed of all random numbers (default %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_entry(main)
