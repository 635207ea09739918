"""The share of AI CPU operators in the profile of the device, for check 9."""

from __future__ import annotations

import csv
from pathlib import Path

AI_CPU = "AI_CPU"


def aicpu_shares(folder: Path) -> dict[str, float] | None:
    """Return the share of each type of AI CPU operator in the time of all operators.

    It is read from op_statistic*.csv of CANN's profiler, which has a line for each type of operator, with "OP Type",
    "Core Type" and "Total Time(us)".

    Args:
        folder: folder of the profiler; if there are several such files, which are copies, the first is read.

    Returns:
        The shares; None if there is no such file, or it has no times.
    """
    for path in sorted(folder.rglob("op_statistic*.csv"))[:1]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        total = sum(float(row["Total Time(us)"]) for row in rows)
        shares: dict[str, float] = {}
        for row in rows:
            if row["Core Type"].replace(" ", "_") == AI_CPU and total:
                shares[row["OP Type"]] = shares.get(row["OP Type"], 0.0) + float(row["Total Time(us)"]) / total
        return shares if total else None
    return None
