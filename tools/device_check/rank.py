"""One rank of check 12: train like train.py, then exchange text and numbers with the others and write the result."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import train
from src.base.files import write_whole
from src.distributed.communicator import Communicator
from src.utils.entry import run_entry
from tools.device_check.ranks import NUMBERS, TEXT


def main(argv: Sequence[str] | None = None) -> int:
    """Train, then exchange; return train.py's exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    code = train.main(words)
    from mindspore.communication import get_group_size, get_rank

    communicator = Communicator(get_rank(), get_group_size())
    save_dir = Path(words[words.index("--save_dir") + 1])
    write_whole(save_dir / f"exchange_{communicator.rank}.json", json.dumps(exchange(communicator)).encode())
    communicator.barrier()
    return code


def exchange(communicator: Communicator) -> dict[str, object]:
    """Return the text of rank 0, the sums over the ranks, and the number of each rank."""
    text = communicator.broadcast_text(TEXT if communicator.rank == 0 else "")
    sums = communicator.sum_integers([number + communicator.rank for number in NUMBERS])
    return {"text": text, "sums": sums.tolist(), "ranks": communicator.all_gather(communicator.rank).tolist()}


if __name__ == "__main__":
    run_entry(main)
