"""What the device's profiler says of operators that run on the AI CPU, for check 9."""

from __future__ import annotations

import csv
from pathlib import Path

AI_CPU = "AI_CPU"


def aicpu_shares(folder: Path) -> dict[str, float] | None:
    """Return the share of all operators' time that each operator on the AI CPU takes, by its type.

    From op_statistic*.csv, which CANN's profiler writes: a line for each type of operator, with "OP Type", "Core Type"
    and "Total Time(us)".

    Args:
        folder: what the profiler has written to; of several such files below it, copies, the first is read.

    Returns:
        The shares; None where there is no such file, or one without times.
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
