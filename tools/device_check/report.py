"""The table of the checks."""

from __future__ import annotations

import math

NAMES = {
    1: "settings",
    2: "forward pass",
    3: "operators",
    4: "gradients",
    5: "overflow",
    6: "data sink",
    7: "SIGTERM",
    8: "resume",
    9: "speed",
    10: "memory",
    11: "feed",
    12: "ranks",
    13: "evaluation",
    14: "export",
}


def plain(value: object) -> object:
    """Return a value for JSON: numbers that are not finite, and types that JSON does not have, become text."""
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def shown(value: object) -> str:
    """Return details as one line of text, numbers with four digits."""
    if isinstance(value, dict):
        entries = [
            f"{name} ({shown(entry)})" if isinstance(entry, dict) else f"{name}: {shown(entry)}"
            for name, entry in value.items()
        ]
        return ", ".join(entries)
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(records: list[dict]) -> str:
    """Return a table with a line per check, and advice for those that failed."""
    lines = [f"{'check':<16} {'figure':>10} {'bound':>10} {'s':>6}  result  oracle"]
    for record in records:
        name = f"{record['number']:>2} {NAMES[record['number']]}"
        result = "passed" if record["passed"] else "FAILED"
        figures = f"{record['figure']:>10.3g} {record['bound']:>10.3g} {record['seconds']:>6.0f}"
        lines.append(f"{name:<16} {figures}  {result}  {record['oracle']}")
    take = [record["details"]["take"] for record in records if "take" in record["details"]]
    lines += [f"take {what}" for what in take]
    failed = [record for record in records if not record["passed"]]
    lines += [f"check {record['number']} failed: {record['advice']}; {shown(record['details'])}" for record in failed]
    return "\n".join(lines)
