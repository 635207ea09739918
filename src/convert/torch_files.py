"""Read and write PyTorch's files, as a process of an interpreter that has PyTorch; it needs no MindSpore.

``python -m src.convert.torch_files read FILE.pth OUT.npz [WEIGHTS]`` or ``write IN.npz FILE.pth``. A mistake of the
user's is one line on standard error.
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
from src.base.temporary import replacing
from src.convert.families import recognise

CONTAINERS = ("state_dict", "model_state_dict", "model", "net")  # under which training scripts save the weights
AVERAGED = ("ema", "averag", "swa", "shadow", "teacher")  # in the name of an entry with averaged weights
INNER = ("state_dict", "module", "model", "shadow")  # what averaged weights may be wrapped in once more
PARTS = ("detail", "segment", "bga")  # of a backbone, each a dictionary of its own
COUNTERS = ("n_averaged", "steps", "module.n_averaged")  # of what averages; no weights
CLASSES = "__classes__"  # entry of the .npz: names of the classes as JSON, where the file tells them


def read(path: Path, output: Path, weights: str | None = None) -> None:
    """Write the tensors of a PyTorch file to an .npz, floating-point numbers as float32.

    Args:
        path: the file.
        output: the .npz.
        weights: which ones, if there are several: "model", "ema" or the name of an entry.

    Raises:
        SystemExit: the file is damaged, holds more than tensors and plain values, no weights, or several of which none
            is chosen.
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
    found = find_weights(content)
    if not found:
        sys.exit(f"{path}: holds no tensors by name, at its top or under {', '.join(CONTAINERS)}")
    try:
        tensors = found[choose(list(found), weights, swapped=_is_swapped(content))]
    except ValueError as err:
        sys.exit(f"{path}: {err}")
    values = {name: _array(value) for name, value in tensors.items()}
    values[CLASSES] = np.array(json.dumps(_classes(content)))
    np.savez(output, **values)


def find_weights(content: Any) -> dict[str, dict[str, Any]]:
    """Return the weights in a file by the name of their entry, "" for its top; those of known networks, if there are.

    Args:
        content: what `torch.load` returns.
    """
    entries = content if isinstance(content, dict) else {}
    found = {str(name): tensors for name, value in entries.items() if (tensors := _tensors_below(value))}
    known = {name: tensors for name, tensors in found.items() if recognise(map(_bare, tensors))}
    if known:
        return known
    usual = next((name for name in CONTAINERS if name in found), None)
    if usual:
        return {usual: found[usual]}
    own = _tensors(entries)
    return {"": own} if own else {}


def _tensors(value: Any) -> dict[str, Any]:
    import torch

    if not isinstance(value, dict):
        return {}
    if all(isinstance(value.get(part), dict) for part in PARTS):
        value = {f"{part}.{name}": tensor for part in PARTS for name, tensor in value[part].items()}
    return {str(name): v for name, v in value.items() if isinstance(v, torch.Tensor) and name not in COUNTERS}


def _tensors_below(value: Any) -> dict[str, Any]:
    """Return the tensors of an entry, or of the first entry in it that has some."""
    inner = [value.get(name) for name in INNER] if isinstance(value, dict) else []
    return next(filter(None, map(_tensors, [value, *inner])), {})


def _bare(name: str) -> str:
    return name[len("module.") :] if name.startswith("module.") else name


def _is_swapped(content: Any) -> bool:
    """Tell whether a file is MMEngine's, which saves the averaged weights as state_dict and the others as ema_..."""
    return isinstance(content, dict) and "message_hub" in content and "ema_state_dict" in content


def choose(names: list[str], wanted: str | None, *, swapped: bool = False) -> str:
    """Return the entry to take.

    Args:
        names: of the entries with weights.
        wanted: "model", "ema", the name of an entry, or None where there is but one.
        swapped: whether the entry with ema in its name holds the weights that are not averaged.

    Raises:
        ValueError: one line that names what there is and how to choose.
    """
    averaged = [name for name in names if any(part in name.lower() for part in AVERAGED) != swapped]
    plain = [name for name in names if name not in averaged]
    told = ", ".join(f"{name or 'the top'} ({'averaged' if name in averaged else 'not averaged'})" for name in names)
    if wanted in names:
        return wanted
    candidates = {"model": plain, "ema": averaged, None: names}.get(wanted, [])
    if len(candidates) == 1:
        return candidates[0]
    if wanted is None or candidates:
        raise ValueError(f"holds several weights: {told}; choose with --weights model, ema or an entry's name")
    raise ValueError(f"--weights {wanted}: there are only {told}")


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
    try:
        with replacing(path) as temporary:
            torch.save(tensors, temporary)
    except (OSError, RuntimeError) as err:
        sys.exit(f"cannot write {path}: {one_line(err)}")


if __name__ == "__main__":
    what, source, target, *more = sys.argv[1:]
    try:
        import torch  # noqa: F401
    except ImportError:
        sys.exit(
            f"{sys.executable} has no PyTorch: pip install -r requirements/torch.txt, "
            "or name an interpreter that has it with --torch_python"
        )
    {"read": read, "write": write}[what](Path(source), Path(target), *more)
