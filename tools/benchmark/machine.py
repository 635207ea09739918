"""The machine and the versions of a measurement."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from src.base.cores import usable_cores
from src.base.errors import UserError
from src.utils import local_adapter


def describe_machine() -> dict[str, str]:
    """Return properties of this machine by name, as text."""
    cores = f"{usable_cores()} usable of {os.cpu_count()}"
    cap = os.environ.get(local_adapter.ONEDNN_ISA, "none")
    return {
        "CPU": f"{cpu_model()}, cores: {cores}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB",
        "load before": f"{os.getloadavg()[0]:.2f} (average of the last minute; a high load distorts the figures)",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "MindSpore": ".".join(map(str, local_adapter.mindspore_version())) or "none",
        "NumPy": package_version("numpy"),
        "OpenCV": package_version("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
        "oneDNN cap": cap + (" (set here)" if local_adapter.onednn_capped_here() else ""),
    }


def cpu_model() -> str:
    """Return the name of the CPU, or its architecture if the system does not report the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def package_version(*names: str) -> str:
    """Return the version of the first package in `names` that is installed; 'none' if none is."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "none"


def torch_environment() -> dict[str, str]:
    """Return the variables for PyTorch's process, without the limit that only MindSpore's oneDNN needs."""
    return {local_adapter.ONEDNN_ISA: "DEFAULT"} if local_adapter.onednn_capped_here() else {}


def torch_version(python: str) -> str:
    """Return the version of PyTorch of the interpreter `python`.

    Raises:
        UserError: it has none, or is not an interpreter.
    """
    code = "import numpy, torch; print(torch.__version__)"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError as err:
        raise UserError(f"--torch_python {python}: {err.strerror}") from err
    if done.returncode:
        raise UserError(
            f"{python} has no PyTorch: pip install -r requirements/torch.txt, "
            "or name an interpreter that has it with --torch_python"
        )
    return done.stdout.strip()
