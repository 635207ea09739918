"""Check 12: a job of several ranks; run as a module it starts one: RANKS SAVE_DIR [train.py options]."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.launch.job import Job, check_job
from src.launch.launchers import LAUNCHERS, choose_launcher
from src.state.checkpoint_names import list_checkpoints
from src.utils.entry import run_entry
from tools.device_check.result import Result, Settings, nearest_to_bound
from tools.device_check.runs import SINK, difference, last_checkpoint, losses, run, training

BATCH = 2  # images per rank
TEXT = "/data/Größe 尺寸/" + "x" * 1000  # of rank 0
NUMBERS = (1, 2**16 - 1, 123456789012345)  # each rank adds its own number to each


class RankJob(Job):
    """A job whose ranks run `rank.py`."""

    def train_command(self) -> list[str]:
        """Return the script and options of one rank."""
        return ["tools/device_check/rank.py", *super().train_command()[1:]]


def make_job(ranks: int, save_dir: str, options: Sequence[str]) -> tuple[RankJob, str]:
    """Return a job on this machine and its launcher.

    Raises:
        UserError: it cannot run here, for example because there are more ranks than devices.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    job = RankJob(ranks, BATCH, save_dir, master_port=port, options=tuple(options))
    launcher = choose_launcher(os.environ, job)
    check_job(job, launcher, os.environ)
    return job, launcher


def main(argv: Sequence[str] | None = None) -> int:
    """Start the job that the command line describes; return its exit code."""
    ranks, save_dir, *options = sys.argv[1:] if argv is None else argv
    job, launcher = make_job(int(ranks), save_dir, options)
    sys.stdout.write(f"launcher: {launcher}\n")
    sys.stdout.flush()
    return LAUNCHERS[launcher](job, os.environ)


def check_ranks(settings: Settings) -> Result:
    """Check 12: several ranks with two images each train like one rank with all images; first two ranks, then all."""
    parts: dict[str, Any] = {}
    details: dict[str, Any] = {}
    sizes = {settings.ranks} if os.environ.get("RANK_TABLE_FILE") else {2, settings.ranks}  # a table has one size
    for ranks in sorted(sizes):
        found, codes = compare_ranks(settings, ranks)
        parts |= {f"{ranks} ranks, {name}": value for name, value in found.items()}
        details[f"{ranks} ranks"] = {**{name: value for name, (value, _) in found.items()}, "exit codes": codes}
        if nearest_to_bound(parts) > 1:
            break
    return Result(
        nearest_to_bound(parts),
        1.0,
        "one rank with all images, parts of the bounds",
        "see ranks2.log, which names a rank that cannot be reached; unset HCCL_OP_EXPANSION_MODE",
        details,
    )


def compare_ranks(settings: Settings, ranks: int) -> tuple[dict[str, tuple[float, float]], list[int]]:
    """Train on `ranks` ranks and on one; return the differences with their bounds, and the exit codes.

    Without batch statistics, which each rank computes separately, the two trainings are the same.
    """
    same = ["net_args.freeze_bn=True", "--total_step", SINK, "--run_eval", False]
    alone, together = settings.folder / f"alone{ranks}", settings.folder / f"ranks{ranks}"
    codes = [run(settings, [*training(settings, alone, *same), "--batch_size", str(ranks * BATCH)], alone.name)]
    options = without(training(settings, together, *same)[2:], "--save_dir", "--batch_size", "--device_id")
    words = [sys.executable, "-m", "tools.device_check.ranks", str(ranks), str(together), *options]
    codes.append(run(settings, words, together.name))
    found = {
        "exchange": (float(wrong_exchanges(together, ranks)), 0.5),
        "digests": (float(wrong_digests(together, ranks)), 0.5),
        "loss": (
            difference(losses(together).get(SINK), losses(alone).get(SINK)),
            settings.bound(float32=1e-4, hf32=1e-2, float16=1e-2),
        ),
        "momentum": (
            vector_difference(momentum(together), momentum(alone)),
            settings.bound(float32=1e-4, hf32=0.1, float16=0.1),
        ),
    }
    return found, codes


def without(words: Sequence[str], *options: str) -> list[str]:
    """Return a command line without some options and their values."""
    dropped = {at + shift for at, word in enumerate(words) if word in options for shift in (0, 1)}
    return [word for at, word in enumerate(words) if at not in dropped]


def wrong_exchanges(save_dir: Path, ranks: int) -> int:
    """Return how many ranks did not receive the text of rank 0, the exact sums and every rank's number."""
    expected = {
        "text": TEXT,
        "sums": [sum(number + rank for rank in range(ranks)) for number in NUMBERS],
        "ranks": list(range(ranks)),
    }
    files = [save_dir / f"exchange_{rank}.json" for rank in range(ranks)]
    return sum(not file.is_file() or json.loads(file.read_text(encoding="utf-8")) != expected for file in files)


def wrong_digests(save_dir: Path, ranks: int) -> int:
    """Return how many ranks logged another digest of the weights after the last step than rank 0."""
    pattern = re.compile(rf"digest of the weights after step {SINK}: (\w{{64}})")
    logs = [save_dir / "logs" / f"rank_{rank}.log" for rank in range(ranks)]
    texts = [log.read_text(encoding="utf-8") if log.is_file() else "" for log in logs]
    digests = [match[1] if (match := pattern.search(text)) else None for text in texts]
    return sum(digest is None or digest != digests[0] for digest in digests)


def momentum(save_dir: Path) -> np.ndarray:
    """Return the momentum of all weights in the newest checkpoint, flattened; empty without a checkpoint."""
    if not list_checkpoints(save_dir / "checkpoints"):
        return np.zeros(0)
    from src.state.checkpoint import MOMENTUM_PREFIXES, read_checkpoint  # loads MindSpore

    values = read_checkpoint(last_checkpoint(save_dir))
    return np.concatenate([np.ravel(values[name]) for name in sorted(values) if name.startswith(MOMENTUM_PREFIXES)])


def vector_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the relative difference in the Euclidean norm; infinite if a value is missing."""
    if not expected.size or found.size != expected.size:
        return float("inf")
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


if __name__ == "__main__":
    run_entry(main)
