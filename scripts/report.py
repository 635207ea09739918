"""Write a report for the browser of one or several runs: ``python scripts/report.py RUN [RUN ...]``.

RUN is the folder of a training or an evaluation, or one that holds such folders. The report of one RUN goes to
report.html in it, that of several to report.html in the current folder. It has pictures if the evaluation ran with
--report True; 500 or more of them are not embedded, but linked by relative paths. Needs no MindSpore.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.paths import user_path
from src.report import NAME
from src.report.page import require_replaceable
from src.report.runs import find_runs
from src.report.sections import write_report
from src.utils.config import Parser
from src.utils.entry import run_entry
from src.utils.logger import setup_logging


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; return 0.

    Raises:
        UserError: there are no results, or the report cannot be written.
    """
    args = parse_args(argv)
    setup_logging(None)
    output = args.output or (args.runs[0] / NAME if len(args.runs) == 1 else Path(NAME))
    require_replaceable(output)
    runs = find_runs(args.runs)
    claims.hold_file(output, "report", "--output")
    write_report(output, runs)
    print(f"report: {output}")
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("scripts/report.py", description=__doc__)
    runs = "folder with results of train.py or eval.py"
    parser.add_argument("runs", type=user_path, nargs="+", metavar="RUN", help=runs)
    parser.add_argument(
        "--output",
        type=user_path,
        default=None,
        help="file of the report (default: report.html in RUN, or of several in the current folder)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_entry(main)
