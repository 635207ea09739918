"""Telling a running process from an earlier one with the same number."""

from __future__ import annotations

import os
from pathlib import Path


def process_identity(pid: int) -> str:
    """Return a text that no earlier process with the number `pid` shared; "" if there is no such process."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # another user's, but alive
    except OSError:
        return ""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # no /proc here
        return f"{pid}:"
    return "" if fields[0] in "ZX" else f"{pid}:{fields[19]}"
