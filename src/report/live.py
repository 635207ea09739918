"""The report of a running training, written repeatedly; an open page notices and reloads."""

from __future__ import annotations

import time
from pathlib import Path

from src.base.files import make_folder, write_whole
from src.report import NAME
from src.report.page import to_json
from src.report.pictures import FOLDER
from src.report.runs import read_run
from src.report.sections import write_report

STATE = "state.js"


def write_live_report(save_dir: Path, *, ended: bool) -> None:
    """Write the report of a training, and then the file by which open pages notice; `ended` marks the last report.

    Raises:
        UserError: it cannot be read or written.
    """
    version = str(time.time_ns())
    live = None if ended else {"state": f"{FOLDER}/{STATE}", "version": version}
    write_report(save_dir / NAME, [read_run(save_dir)], live=live)
    make_folder(save_dir / FOLDER)
    write_whole(save_dir / FOLDER / STATE, f"bisenetReport.arrived({to_json(version)});\n".encode())
