"""Read and write PyTorch files, in a process of an interpreter that has PyTorch; does not import MindSpore.

``python -m src.convert.torch_files read FILE.pth OUT.npz [WEIGHTS]`` or ``write IN.npz FILE.pth``. A user error is one
line on standard error.
"""

from __future__ import annotations

import collections
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from src.base.errors import count_names, one_line
from src.base.temporary import replacing
from src.convert.torch_types import load
from src.convert.wrappers import find_networks

CONTAINERS = ("state_dict", "model_state_dict", "model", "net")  # entries in which training scripts save the weights
AVERAGED = ("ema", "averag", "swa", "shadow", "teacher")  # parts of the name of an entry with averaged weights
INNER = ("state_dict", "module", "model", "shadow")  # further wrappers of averaged weights
PARTS = ("detail", "segment", "bga")  # parts of a backbone that is saved as one dictionary per part
MOST_NUMBERS = 100_000_000  # limit for the tensors of the weights; a BiSeNetV2 has a few million numbers
COUNTERS = ("n_averaged", "steps", "module.n_averaged")  # counters of weight averaging
CLASSES = "__classes__"  # entry of the .npz: names of the classes, if known, as a JSON list
NOTES = "__notes__"  # entry of the .npz: notes for the log, as a JSON list


class Weights(dict[str, Any]):
    """The tensors of one network by name, and notes about them for the log."""

    notes: tuple[str, ...] = ()


def read(path: Path, output: Path, weights: str | None = None) -> None:
    """Write the tensors of a PyTorch file to an .npz, floating-point numbers as float32.

    Args:
        path: the file.
        output: the .npz.
        weights: which weights, if there are several: "model", "ema" or the name of an entry.

    Raises:
        SystemExit: the file is damaged or unsupported, or holds no weights, or several without a choice.
    """
    try:
        content = load(path)
        values, notes = pick(content, weights)
    except ValueError as err:
        sys.exit(f"{path}: {err}")
    for name, value in ((CLASSES, _classes(content)), (NOTES, notes)):
        values[name] = np.array(json.dumps(value))
    np.savez(output, **values)


def pick(content: Any, weights: str | None) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the tensors of the chosen weights, floating-point numbers as float32, and notes for the log.

    Args:
        content: content of a file.
        weights: "model", "ema" or the name of an entry; None if there is only one.

    Raises:
        ValueError: there are no weights, several without a choice, more than 100 million numbers, however few of them
            are stored, or a tensor cannot be read; the message is one line.
    """
    found = find_weights(content)
    if not found:
        raise ValueError(f"holds no tensors by name, at its top or under {', '.join(CONTAINERS)}")
    chosen = found[choose(list(found), weights, swapped=_is_swapped(content))]
    _require_few_numbers(chosen)
    return {name: _array(name, value) for name, value in chosen.items()}, list(chosen.notes)


def _require_few_numbers(tensors: dict[str, Any]) -> None:
    """Raise a ValueError for tensors that may not fit into memory: a small file may repeat one number many times."""
    numbers = {name: math.prod(tensor.shape) for name, tensor in tensors.items()}
    total = sum(numbers.values())
    if total > MOST_NUMBERS:
        most = max(numbers, key=numbers.__getitem__)
        raise ValueError(
            f"holds {total:.3g} numbers, {numbers[most]:.3g} of them in {most}; a BiSeNetV2 has a few million; "
            "save its weights alone"
        )


def find_weights(content: Any) -> dict[str, Weights]:
    """Return the weights in a file by the name of their entry, "" for its top level; only known networks, if any.

    The tensors of a known network are named without their prefix; if an entry holds several networks, the prefix is
    appended to the entry's name.

    Args:
        content: the result of `load`.
    """
    entries = content if isinstance(content, dict) else {}
    found = {str(name): tensors for name, value in entries.items() if (tensors := _tensors_below(value))}
    own = _tensors(entries)
    known: dict[str, Weights] = {}
    for name, tensors in (*found.items(), ("", own)):
        known.update(_networks(name, tensors))
    if known:
        return known
    usual = next((name for name in CONTAINERS if name in found), None)
    chosen = {usual: found[usual]} if usual else {"": own} if own else {}
    return {name: Weights(tensors) for name, tensors in chosen.items()}


def _networks(entry: str, tensors: dict[str, Any]) -> dict[str, Weights]:
    """Return the known networks among the tensors of an entry."""
    networks, found = find_networks(tensors), {}
    used = {given for names in networks.values() for given in names.values()}
    others = sorted(tensors.keys() - used)
    for prefix, names in networks.items():
        weights = Weights((own, tensors[given]) for own, given in names.items())
        notes = [f"names are read without their prefix {prefix}"] if prefix else []
        if others:
            notes.append(f"left out, not part of the network: {count_names(others)}")
        weights.notes = tuple(notes)
        several = f"{entry}.{prefix}".strip(".")
        found[several if len(networks) > 1 else entry] = weights
    return found


def _tensors(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    if all(isinstance(value.get(part), dict) for part in PARTS):
        value = {f"{part}.{name}": tensor for part in PARTS for name, tensor in value[part].items()}
    return {str(name): v for name, v in value.items() if _is_tensor(v) and name not in COUNTERS}


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # not imported: no tensors of PyTorch
    return isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor))


def _tensors_below(value: Any) -> dict[str, Any]:
    """Return the tensors of an entry, or of its first inner entry that has some."""
    inner = [value.get(name) for name in INNER] if isinstance(value, dict) else []
    return next(filter(None, map(_tensors, [value, *inner])), {})


def _is_swapped(content: Any) -> bool:
    """Return whether a file is MMEngine's, which saves averaged weights as state_dict and plain ones as ema_..."""
    return isinstance(content, dict) and "message_hub" in content and "ema_state_dict" in content


def choose(names: list[str], wanted: str | None, *, swapped: bool = False) -> str:
    """Return the name of the entry to use.

    Args:
        names: names of the entries with weights.
        wanted: "model", "ema", the name of an entry, or None if there is only one.
        swapped: whether the entry with ema in its name holds the weights that are not averaged.

    Raises:
        ValueError: the choice is missing or wrong; the message is one line and names the entries.
    """
    averaged = [name for name in names if any(part in name.lower() for part in AVERAGED) != swapped]
    plain = [name for name in names if name not in averaged]
    listed = ", ".join(f"{name or 'the top'} ({'averaged' if name in averaged else 'not averaged'})" for name in names)
    if wanted in names:
        return wanted
    candidates = {"model": plain, "ema": averaged, None: names}.get(wanted, [])
    if len(candidates) == 1:
        return candidates[0]
    if wanted is None or candidates:
        raise ValueError(f"holds several weights: {listed}; choose with --weights model, ema or an entry's name")
    raise ValueError(f"--weights {wanted}: there are only {listed}")


def _array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value.astype(np.float32) if value.dtype.kind == "f" else value
    try:
        value = value.detach()
        value = value.dequantize() if value.is_quantized else value.to_dense()
        return (value.float() if value.is_floating_point() else value).resolve_conj().numpy()
    except (NotImplementedError, RuntimeError, TypeError) as err:
        raise ValueError(f"{name}: a tensor whose numbers cannot be read: {one_line(err)}") from err


def _classes(content: Any) -> list[str]:
    """Return the names of the classes from the metadata that mmsegmentation saves with the weights."""
    meta = content.get("meta") if isinstance(content, dict) else None
    if not isinstance(meta, dict):
        return []
    described = meta.get("dataset_meta")
    names = meta.get("CLASSES") or (described.get("classes") if isinstance(described, dict) else None) or ()
    is_plain = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    return list(names) if is_plain else []  # nested lists may be arbitrarily long as text


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
    jobs: dict[str, Callable[..., None]] = {"read": read, "write": write}
    jobs[what](Path(source), Path(target), *more)
