"""Show training samples as the network gets them, with the random draws of each: ``--output DIR``.

The samples are exactly those of a training with the same configuration and seed, cut, scaled, mirrored and coloured,
but without normalisation. Sheets in DIR show each crop, its label laid over it (ignored pixels are hatched), and scale,
window, mirroring and colour. Takes --config, --dataset_dir, --seed and section.key=value like train.py.
Needs no MindSpore.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.errors import ConfigError
from src.base.files import make_folder
from src.base.paths import user_path
from src.base.progress import Progress
from src.config import schema
from src.config.schema_base import BROWSE_DATASET
from src.data.browsing import BrowsedSample, browse
from src.data.classes import class_names, class_palette
from src.data.train_samples import create_train_samples
from src.report.page import require_replaceable, write_page
from src.report.samples import sample_record, samples_section
from src.utils.config import Parser, parse_config, positive_number, whole_number
from src.utils.entry import run_entry
from src.visual.sample_sheets import Tile, sample_sheet
from src.visual.visualize import write_png


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Write the sheets, and with --report the report; return 0.

    Raises:
        DataError: the data set, or one of the samples, cannot be used.
        UserError: an output cannot be written.
    """
    config, args = parse_args(argv)
    source = create_train_samples(config.data, num_classes=config.num_classes, seed=config.seed)
    if args.report:
        require_replaceable(args.report)
        claims.hold_file(args.report, "report", "--report")
    make_folder(args.output)
    claims.hold_folder(args.output, "sheets", "--output")
    positions = range(args.first, args.first + args.number)
    palette, records, waiting = class_palette(config), [], []
    with Progress(len(positions), "drawn", "samples", print_line) as progress:
        for sample in browse(source, positions):
            waiting.append(sample)
            if args.report:
                records.append(sample_record(sample, palette, config.data.ignore_label))
            if len(waiting) == args.per_sheet or sample.position == positions[-1]:
                write_sheet(args.output, waiting, config)
                waiting = []
            progress.advance()
    print_line(f"{args.number} samples of {len(source)} pairs, epochs of {len(source)} positions: {args.output}")
    if args.report:
        section = samples_section(records, palette, class_names(config))
        write_page(args.report, "Training samples", [section], subtitle=config.data.dataset_dir)
        print_line(f"report: {args.report}")
    return 0


def parse_args(argv: Sequence[str] | None) -> tuple[schema.Config, argparse.Namespace]:
    """Read the command line: the configuration, and the options that are not part of it."""
    own = Parser(f"{BROWSE_DATASET}.py", add_help=False)
    own.add_argument("--output", type=user_path, default=None, help="folder for the sheets, made if it does not exist")
    own.add_argument("--number", type=positive_number, default=12, help="how many samples (default %(default)s)")
    own.add_argument(
        "--first",
        type=whole_number,
        default=0,
        help="position of the first one: step s of a run begins with (s - 1) * total batch (default %(default)s)",
    )
    own.add_argument("--per_sheet", type=positive_number, default=6, help="samples per sheet (default %(default)s)")
    own.add_argument("--report", type=user_path, default=None, help="HTML file that shows them in a browser")
    args, rest = own.parse_known_args(argv)
    config = parse_config(rest, BROWSE_DATASET, own)
    if args.output is None:
        raise ConfigError(f"--output is required: the folder for the sheets; see python {own.prog} --help")
    return config, args


def write_sheet(folder: Path, samples: Sequence[BrowsedSample], config: schema.Config) -> None:
    """Write ``samples_FIRST-LAST.png``, named by the positions of its samples."""
    tiles = [Tile(each.image, each.label, Path(each.path).name, each.lines()) for each in samples]
    sheet = sample_sheet(tiles, class_palette(config), class_names(config), config.data.ignore_label)
    write_png(folder / f"samples_{samples[0].position:06d}-{samples[-1].position:06d}.png", sheet)


def print_line(line: str) -> None:
    """Print a line without buffering."""
    print(line, flush=True)


if __name__ == "__main__":
    run_entry(main)
