"""Whether a process of this machine is still the one it was."""

from __future__ import annotations

import os
from pathlib import Path


def identity(pid: int) -> str:
    """Return what tells a living process from every earlier one with its number, "" if there is none."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # of another user, but alive
    except OSError:
        return ""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # no such file system here
        return f"{pid}:"
    return "" if fields[0] in "ZX" else f"{pid}:{fields[19]}"
