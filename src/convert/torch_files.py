"""Read and write PyTorch's files, as a process of an interpreter that has PyTorch; it needs no MindSpore.

``python -m src.convert.torch_files read FILE.pth OUT.npz`` or ``write IN.npz FILE.pth``. A mistake of the user's is one
line on standard error and exit code 2.
"""

from __future__ import annotations

import collections
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

from src.base.errors import one_line

CONTAINERS = ("state_dict", "model_state_dict", "model", "net")  # under which training scripts save the weights
CLASSES = "__classes__"  # entry of the .npz: names of the classes as JSON, where the file tells them


def read(path: Path, output: Path) -> None:
    """Write the tensors of a PyTorch file to an .npz, floating-point numbers as float32.

    Raises:
        SystemExit: the file is damaged, holds more than tensors and plain values, or no weights.
    """
    import torch

    with path.open("rb") as stream:
        if stream.read(2) not in (b"PK", b"\x80\x02"):  # an archive, or the older form
            sys.exit(f"{path}: damaged, or no PyTorch file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        sys.exit(f"{path}: holds more than tensors and plain values, which is not loaded, for safety")
    except (EOFError, OSError, RuntimeError, ValueError, KeyError, IndexError, AttributeError) as err:
        sys.exit(f"{path}: damaged, or no PyTorch file ({type(err).__name__})")
    tensors = _weights(content)
    if not tensors:
        sys.exit(f"{path}: holds no tensors by name, at its top or under {', '.join(CONTAINERS)}")
    values = {name: _array(value) for name, value in tensors.items()}
    values[CLASSES] = np.array(json.dumps(_classes(content)))
    np.savez(output, **values)


def _weights(content: Any) -> dict[str, Any]:
    import torch

    for candidate in [content.get(name) for name in CONTAINERS if isinstance(content, dict)] + [content]:
        if isinstance(candidate, dict) and candidate:
            tensors = {str(name): value for name, value in candidate.items() if isinstance(value, torch.Tensor)}
            if tensors:
                return tensors
    return {}


def _array(value: Any) -> np.ndarray:
    return (value.float() if value.is_floating_point() else value).numpy()


def _classes(content: Any) -> list[str]:
    """Return the names of the classes from what mmsegmentation notes down beside the weights."""
    meta = content.get("meta") if isinstance(content, dict) else None
    if not isinstance(meta, dict):
        return []
    described = meta.get("dataset_meta")
    names = meta.get("CLASSES") or (described.get("classes") if isinstance(described, dict) else None) or ()
    return [str(name) for name in names]


def write(values: Path, path: Path) -> None:
    """Write the arrays of an .npz as a PyTorch state dict: names to float32 tensors."""
    import torch

    with np.load(values) as archive:
        tensors = collections.OrderedDict((name, torch.from_numpy(archive[name])) for name in archive.files)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        torch.save(tensors, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as err:
        temporary.unlink(missing_ok=True)
        sys.exit(f"cannot write {path}: {one_line(err)}")


if __name__ == "__main__":
    what, source, target = sys.argv[1:]
    try:
        import torch  # noqa: F401
    except ImportError:
        sys.exit(
            f"{sys.executable} has no PyTorch: pip install -r requirements/torch.txt, "
            "or name an interpreter that has it with --torch_python"
        )
    {"read": read, "write": write}[what](Path(source), Path(target))
