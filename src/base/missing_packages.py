"""One line for a required package that is not installed. Needs none of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from src.base.failures import USER_ERROR

REQUIRED = ("cv2", "mindspore", "numpy", "yaml")  # the modules of requirements.txt; mpi4py has a message of its own


def explain_missing_packages(root: Path) -> None:
    """Let a script that ends because one of `REQUIRED` cannot be found say so in one line, with exit code 2.

    Args:
        root: the repository.
    """
    usual = sys.excepthook

    def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, ModuleNotFoundError) or error.name not in REQUIRED:
            usual(kind, error, trace)
            return
        sys.stderr.write(f"error: {sys.executable} has no package {error.name}; {_remedy(root)}\n")
        sys.stderr.flush()
        os._exit(USER_ERROR)  # an exception that nobody caught would end the process with 1

    sys.excepthook = explain


def _remedy(root: Path) -> str:
    install = "python -m pip install -r requirements.txt"
    activate = root / ".venv" / "bin" / "activate"
    return f"source {activate}, or {install}" if activate.is_file() else install
