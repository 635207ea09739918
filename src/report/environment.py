"""The environment of a run: packages, Python, machine; does not import MindSpore."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path

from src.base.cores import usable_cores
from src.base.files import write_whole
from src.base.side_files import side_file

NAME = "environment.json"
_PACKAGES = ("mindspore", "numpy", "opencv-python-headless", "opencv-python", "PyYAML")


def environment() -> dict[str, str]:
    """Return versions and properties of the machine, by name."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return {**found, "system": system, "processor": _processor(), "usable cores": str(usable_cores())}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def write_environment(save_dir: Path, **further: object) -> None:
    """Write ``environment.json`` to `save_dir`, with `further` entries; warn if it cannot be written."""
    found = {**environment(), **{name: str(value) for name, value in further.items()}}
    with side_file(save_dir / NAME):
        write_whole(save_dir / NAME, (json.dumps(found, indent=2) + "\n").encode())
