"""Read a whole data set before training on it: sizes, classes, a proposal of class weights, and every faulty file.

Takes --config, --dataset_dir, --num_classes and section.key=value like train.py. The exit code is 0 without problems,
else 2, and the last line says how many problems there are. Oddities that may be intended are remarks, not problems.
Needs no MindSpore.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.errors import DataError
from src.base.files import require_new, write_new
from src.base.paths import user_path
from src.base.progress import Progress
from src.config import schema
from src.config.registry import DATASETS
from src.config.schema_base import CHECK_DATASET
from src.data.cityscapes import CITYSCAPES, list_samples
from src.data.classes import class_names, class_palette
from src.data.inspection import LIST, Problem, SplitFacts, count_problems, inspect_split
from src.data.inspection_findings import Findings, count_remarks
from src.data.inspection_report import map_lines, report_as_json, split_lines, weight_lines
from src.data.label_maps import label_coding
from src.data.preflight import suspect_train_ids
from src.report.dataset import write_dataset_report
from src.report.page import require_replaceable
from src.utils.config import Parser, parse_config
from src.utils.entry import run_entry


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Check the data set; return 0.

    Raises:
        DataError: something is wrong with it.
    """
    config, args = parse_args(argv)
    claim_reports(args)
    names, findings = class_names(config), Findings()
    splits: dict[str, SplitFacts] = {}
    problems: dict[str, list[Problem]] = {}
    for split in args.splits:
        try:
            splits[split] = read_split(config, split, findings)
        except DataError as err:
            problems[split] = [Problem(LIST, config.data.dataset_dir, str(err))]
            continue
        problems[split] = splits[split].problems
        print_all(split_lines(split, splits[split], names))
        print_all(map_lines(splits[split], names))
    if "train" in splits:
        print_all(weight_lines(splits["train"]))
    write_reports(args, config, splits, problems)
    remarks = [f"{split}: remark: {line}" for split, facts in splits.items() for line in facts.remarks]
    print_all(remarks)
    print_all(f"{split}: {problem.message}" for split, found in problems.items() for problem in found)
    if any(problems.values()):
        raise DataError(count_problems([problem for found in problems.values() for problem in found]))
    print(count_remarks(len(remarks)))
    return 0


def claim_reports(args: argparse.Namespace) -> None:
    """Claim the report files, before anything is read.

    Raises:
        UserError: a file exists already or is in use.
    """
    if args.json:
        require_new(args.json, "the report ")
        claims.hold_file(args.json, "check", "--json")
    if args.report:
        require_replaceable(args.report)
        claims.hold_file(args.report, "report", "--report")


def write_reports(
    args: argparse.Namespace,
    config: schema.Config,
    splits: Mapping[str, SplitFacts],
    problems: Mapping[str, list[Problem]],
) -> None:
    """Write the requested report files.

    Raises:
        UserError: a file cannot be written.
    """
    tree = report_as_json(config, class_names(config), splits, problems)
    if args.json:
        write_new(args.json, (json.dumps(tree, indent=2) + "\n").encode(), "the report ")
    if args.report:
        write_dataset_report(args.report, tree, splits, problems, class_palette(config))


def parse_args(argv: Sequence[str] | None) -> tuple[schema.Config, argparse.Namespace]:
    """Read the command line: the configuration, and the options that are not part of it."""
    own = Parser(f"{CHECK_DATASET}.py", add_help=False)
    own.add_argument("--json", type=user_path, default=None, help="file for the full report; must not exist yet")
    own.add_argument("--report", type=user_path, default=None, help="HTML file that shows all of it in a browser")
    own.add_argument(
        "--splits", type=_names, default=("train", "val"), help="splits, separated by commas (default train,val)"
    )
    args, rest = own.parse_known_args(argv)
    return parse_config(rest, CHECK_DATASET, own), args


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise argparse.ArgumentTypeError(f"expected names separated by commas, got {text!r}")
    return names


def read_split(config: schema.Config, split: str, findings: Findings) -> SplitFacts:
    """Read every file of a split and report progress.

    Raises:
        DataError: the split cannot be listed.
    """
    data = config.data
    samples = list_samples(data.dataset_dir, split, data.name)
    found = SplitFacts(label_coding(data, config.num_classes))
    progress = Progress(len(samples), f"{split}:", "pairs", partial(print, flush=True))
    pairs = zip(
        samples.images.tolist(), inspect_split(samples, found.coding, data.num_parallel_workers, data.max_pixels)
    )
    with progress:
        for path, facts in pairs:
            findings.add_pair(split, path, facts, found)
            progress.advance()
    findings.add_split(split, found, data.dataset_dir, class_names(config))
    if DATASETS[data.name] is CITYSCAPES and not found.problems:
        found.remarks += filter(None, [suspect_train_ids(found.values.nonzero()[0].tolist())])
    return found


def print_all(lines: Iterable[str]) -> None:
    """Print lines on standard output."""
    for line in lines:
        print(line)
    sys.stdout.flush()


if __name__ == "__main__":
    run_entry(main)
