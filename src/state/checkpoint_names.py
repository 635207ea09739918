"""File names of checkpoints and exported models, and finding the newest checkpoint. Needs no MindSpore."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

FOLDER = "checkpoints"  # below the save_dir of a run
BEST_NAME = "BiSeNetV2_best.ckpt"
_NAME = re.compile(r"BiSeNetV2_(\d+)_rank0\.ckpt")


def checkpoint_name(step: int) -> str:
    """Return the file name of the checkpoint after `step` steps."""
    return f"BiSeNetV2_{step}_rank0.ckpt"


def step_of(name: str) -> int | None:
    """Return the step in the file name of a numbered checkpoint; None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def list_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return (step, path) of the numbered checkpoints in `folder`, by step."""
    return sorted((step, path) for path in folder.glob("*.ckpt") if (step := step_of(path.name)) is not None)


def exported_names(file_name: str, file_format: str) -> tuple[str, str]:
    """Return the names of an exported model and of the description beside it.

    Args:
        file_name: as given, with or without the suffix of the format.
        file_format: "MINDIR", "ONNX" or "AIR".
    """
    suffix = f".{file_format.lower()}"
    stem = file_name[: -len(suffix)] if file_name.lower().endswith(suffix) else file_name
    return f"{stem}{suffix}", description_name(f"{stem}{suffix}")


def description_name(model: str) -> str:
    """Return the name of the description beside an exported model; a MindIR and an ONNX model may share a stem."""
    return f"{model}.json" if model.endswith(".onnx") else f"{model.rpartition('.')[0]}.json"


def newest_name(names: Iterable[str], modified: Callable[[str], float]) -> str | None:
    """Return the checkpoint of the highest step, or, if none is numbered, the one modified last; None without any.

    Args:
        names: file names; those that are not checkpoints are ignored.
        modified: returns the modification time of a file.
    """
    checkpoints = [name for name in names if name.endswith(".ckpt") and not name.startswith(".")]
    numbered = [(step, name) for name in checkpoints if (step := step_of(name)) is not None]
    return max(numbered)[1] if numbered else max(checkpoints, key=modified, default=None)
