"""Train with parts of one's own: put them into the dictionaries, then do as train.py does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import train
from src.config.registry import DATASETS, LOSSES, NETWORKS, OPTIMIZERS, TRANSFORMS
from src.utils.entry import run_entry

NETWORKS["TwoHeads"] = "tests.own_parts.network:TwoHeads"
DATASETS["park"] = "tests.own_parts.dataset:PARK"
LOSSES["doubled"] = "tests.own_parts.loss:Doubled"
OPTIMIZERS["adam"] = "tests.own_parts.optimizer:create_adam"
TRANSFORMS["Negative"] = "tests.own_parts.transform:Negative"

if __name__ == "__main__":
    run_entry(train.main)
