"""Compare what tests/aarch64.sh left of two machines: python tests/compare_runs.py FOLDER OTHER_FOLDER.

Prints every figure of both with its difference; exit code 1 if one differs by more than the last digit that the logs
show, or anything that has to be the same is not.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

TOLERANCE = 1e-4  # the logs print four decimals of losses and scores
STEPS = 2


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def figures(run: Path) -> dict[str, float | None]:
    """Return losses of every step and head, scores of every class and their mean, by names that say which.

    And by how much the exported model's logits differ from the network's on that machine.
    """
    records = [json.loads(line) for line in (run / "train" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    if [record["step"] for record in records] != list(range(1, STEPS + 1)):
        raise ValueError(f"{run}: not {STEPS} steps of training")
    values = {
        f"step {r['step']} {key}": r[key] for r in records for key in r if key in ("loss", "lr") or "loss_" in key
    }
    scores = read_json(run / "eval" / "eval.json")
    values.update(mIoU=scores["miou"], **{f"IoU of class {number}": iou for number, iou in enumerate(scores["iou"])})
    values["exported logits off by"] = read_json(run / "export" / "BiSeNetV2.json")["check"]["largest_difference"]
    return values


def facts(run: Path) -> dict[str, object]:
    """Return what has to be the same: the bytes of the data set, how many were scored, what the exported model is."""
    paths = sorted(path for path in (run / "data").rglob("*") if path.is_file())
    content = b"".join(path.relative_to(run).as_posix().encode() + path.read_bytes() for path in paths)
    exported = read_json(run / "export" / "BiSeNetV2.json")
    return {
        f"{len(paths)} files of the data set": hashlib.sha256(content).hexdigest()[:16],
        "pictures scored": read_json(run / "eval" / "eval.json")["images"],
        **{f"exported {key}": exported[key] for key in ("mindspore", "input", "output", "image_size", "num_classes")},
    }


def differences(one: Mapping[str, object], other: Mapping[str, object], tolerance: float = 0) -> list[str]:
    """Print the values of both side by side; return the names of those that do not agree."""
    found = []
    for name in sorted(one.keys() | other.keys()):
        a, b = one.get(name, "missing"), other.get(name, "missing")
        numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
        agree = abs(a - b) <= tolerance if numbers else a == b
        shown = [f"{x:.6f}" if isinstance(x, float) else str(x) for x in (a, b)]
        gap = f"{abs(a - b):.1e}" if isinstance(a, float) and numbers else ""
        sys.stdout.write(f"{name:28} {shown[0]:>18} {shown[1]:>18} {gap:>9}{'' if agree else '  DIFFERS'}\n")
        found += [] if agree else [name]
    return found


def main(one: Path, other: Path) -> int:
    """Compare; return the exit code."""
    sys.stdout.write(f"{'':28} {one.name:>18} {other.name:>18} {'apart':>9}\n")
    found = differences(figures(one), figures(other), TOLERANCE) + differences(facts(one), facts(other))
    sys.stdout.write(f"apart by {TOLERANCE:g} at most: {'all but ' + ', '.join(found) if found else 'all'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
