"""MindSpore Lite's side of the benchmark: a child process, see `tools/benchmark/worker.py`, that starts the C++ runner.

Every sample is a separate process of the runner, with the time that it prints.
"""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from src.base.errors import UserError
from src.base.memory import usage_memory_mb
from tools.benchmark.worker import Commands, last_line, random_image, serve

WARMUP = 2  # untimed inferences
_AVERAGE = re.compile(r"NN inference cost average time: ([\d.]+) ms")


def build(*, runner: Sequence[str], path: str, threads: int, shape: Sequence[int]) -> tuple[dict, Commands]:
    """Make the commands for a model of MindSpore Lite.

    Args:
        runner: program and first arguments of the runner.
        path: the model.
        threads: threads of the CPU kernels.
        shape: shape of the input, (1, 3, H, W).
    """
    folder = tempfile.TemporaryDirectory()  # as long as this process lives
    inputs = Path(folder.name) / "inputs"
    inputs.mkdir()
    random_image(shape).tofile(inputs / "image.bin")

    def run(times: int) -> dict:
        return {"ms": [sample(folder.name) for _ in range(times)]}

    def sample(base: str) -> float:
        with tempfile.TemporaryDirectory(dir=base) as results:
            words = [
                "--mindir_path",
                path,
                "--dataset_path",
                str(inputs),
                "--result_path",
                f"{results}/result_Files",
                "--device_type",
                "CPU",
                "--warmup",
                str(WARMUP),
                "--num_threads",
                str(threads),
            ]
            return run_once([*runner, *words])

    return {}, {"run": run, "peak": peak}


def run_once(command: Sequence[str]) -> float:
    """Run the runner once; return the milliseconds that it prints.

    Raises:
        UserError: it fails, or prints none.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _AVERAGE.search(done.stdout)
    if done.returncode or not found:
        raise UserError(f"the runner of MindSpore Lite failed with exit code {done.returncode}: {last_line(done)}")
    return float(found.group(1))


def peak() -> dict:
    """Return the largest resident set of the runner, in MB (10^6 bytes)."""
    return {"peak_mb": usage_memory_mb(resource.RUSAGE_CHILDREN)}


if __name__ == "__main__":
    serve(build)
