"""Check a new card: fourteen checks in order, up to the first that fails.

Each check runs in a process of its own and is compared with an oracle: PyTorch's values, NumPy, an undisturbed run, or
a process on the CPU. A table goes to standard output, all figures to a JSON file to attach to a problem report.

Usage: python scripts/check_device.py [--device_target CPU|Ascend] [--device_id N] [--quick] [--ranks N] [--json FILE]
       [--folder DIR] [section.key=value ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.base import claims
from src.base.errors import UserError
from src.base.files import holds_anything, require_new, write_whole
from src.base.paths import user_path
from src.config.schema_base import TRAIN
from src.utils.config import Parser, parse_config, whole_number
from src.utils.entry import run_entry
from tools.device_check.ranks import make_job
from tools.device_check.report import NAMES, plain, shown, table
from tools.device_check.result import Settings
from tools.device_check.worker import in_process

QUICK, RANKS = 5, 12
CROP = (1024, 1024)  # of the published training, on a card


@claims.releasing
def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks; return 0 if all passed, else 1."""
    args = parse_args(argv)
    require_ranks(args.ranks, args.device_target)
    folder = new_folder(args.folder)
    settings = Settings(args.device_target, args.device_id, folder, args.ranks, options=tuple(args.options))
    settings, machine = probe_device(settings, temporary=args.folder is None)
    records: list[dict[str, Any]] = []
    report = {"machine": machine, "settings": dataclasses.asdict(settings), "checks": records}
    target = args.json or folder / "check_device.json"
    for number in selected_checks(args):
        records.append(run_check(number, settings))
        write_whole(target, (json.dumps(plain(report), indent=2) + "\n").encode(), "the results ")
        sys.stderr.write(f"check {number} of {len(NAMES)}, {NAMES[number]}: {shown(records[-1]['details'])}\n")
        if not records[-1]["passed"]:
            break
    print(table(records))
    print(f"to be attached to a report: {target}; logs: {folder}")
    return 0 if all(record["passed"] for record in records) else 1


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("scripts/check_device.py", description=__doc__)
    parser.add_argument("--device_target", choices=("CPU", "Ascend"), default="Ascend", help="default %(default)s")
    parser.add_argument("--device_id", type=whole_number, default=0, help="number of the card, default %(default)s")
    parser.add_argument("--quick", action="store_true", help="only the first five checks")
    parser.add_argument("--ranks", type=whole_number, default=0, metavar="N", help="check N ranks, too, 2 or more")
    parser.add_argument("--json", type=user_path, default=None, help="new file of all figures, default: in --folder")
    parser.add_argument("--folder", type=user_path, default=None, help="new folder for logs, default: a temporary one")
    parser.add_argument("options", nargs="*", metavar="section.key=value", help="keys for all checks")
    args = parser.parse_args(argv)
    if args.ranks == 1:
        raise UserError("--ranks 1: give 2 or more")
    if args.quick and args.ranks:
        raise UserError("--ranks: not with --quick, which ends before")
    if args.json:
        require_new(args.json, "the results ")
        claims.hold_file(args.json, "check", "--json")
    parse_config(["--device_target", args.device_target, *args.options], TRAIN)  # validates the options
    return args


def require_ranks(ranks: int, device_target: str) -> None:
    """Raise a UserError if a job of `ranks` ranks (0: no job) cannot run here."""
    try:
        if ranks:
            make_job(ranks, "", ("--device_target", device_target))
    except UserError as err:
        raise UserError(f"--ranks {ranks}: {err}") from err


def new_folder(given: Path | None) -> Path:
    """Make and return the empty folder of the logs.

    Raises:
        UserError: the folder is not empty, or cannot be made.
    """
    if given is None:
        return Path(tempfile.mkdtemp(prefix="check_device-"))
    claims.hold_folder(given, "check", "--folder")
    if holds_anything(given):
        raise UserError(f"--folder {given}: not empty, and left as it is; give another one")
    return given.absolute()


def selected_checks(args: argparse.Namespace) -> list[int]:
    """Return the numbers of the checks to run."""
    last = QUICK if args.quick else max(NAMES)
    return [number for number in NAMES if number <= last and (number != RANKS or args.ranks)]


def probe_device(settings: Settings, *, temporary: bool) -> tuple[Settings, dict]:
    """Return the settings with the device's precision, which decides the bounds, and a description of the machine.

    After a user's mistake a `temporary` folder is removed and another one emptied: the logs hold nothing of interest.

    Raises:
        UserError: there is no such device, or no MindSpore.
    """
    code, machine, log = in_process("probe", settings)
    if machine is None:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        last = lines[-1].removeprefix("error: ") if lines else f"exit code {code}"
        if code != 2:
            raise UserError(f"{last}; see {log}")
        if temporary:
            shutil.rmtree(settings.folder)
        else:  # was empty, and can be given again
            for left in settings.folder.glob("probe.*"):
                left.unlink()
        raise UserError(last)
    crop = settings.crop if settings.device_target == "CPU" else CROP
    kinds = {name: machine[name] for name in ("half", "tensor_float")}
    return dataclasses.replace(settings, crop=crop, **kinds), machine


def run_check(number: int, settings: Settings) -> dict:
    """Run a check in a process of its own; return its result, a failed one if the process died."""
    start = time.monotonic()
    code, record, log = in_process(f"check{number}", settings)
    if record is None:
        record = {
            "figure": float("inf"),
            "bound": 0.0,
            "oracle": "the check ends",
            "advice": f"see {log}",
            "passed": False,
            "details": {"exit code": code},
        }
    return {"number": number, **record, "seconds": round(time.monotonic() - start, 1)}


if __name__ == "__main__":
    run_entry(main)
