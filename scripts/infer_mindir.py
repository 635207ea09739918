"""An alias of scripts/infer_model.py; see there."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.infer_model import main
from src.utils.entry import run_entry

if __name__ == "__main__":
    run_entry(main)
