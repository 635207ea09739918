"""Another name of scripts/infer_model.py, which says what it does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.infer_model import main
from src.utils.entry import run_entry

if __name__ == "__main__":
    run_entry(main)
