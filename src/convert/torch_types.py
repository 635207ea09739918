"""What may lie in a PyTorch file beside tensors and plain values, and how it is read: nothing of it is ever run.

PyTorch refuses every type that is not on its list. Of those added here only NumPy's arrays are made; for each other
type stands one that takes whatever it is given and does nothing.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

# What training scripts save along: their arguments, when they ran, NumPy's numbers, MMEngine's record of the losses.
HARMLESS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "pathlib.PureWindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",  # how a HistoryBuffer names its own methods
    "builtins.int",
    "builtins.float",
    "builtins.list",
    "builtins.dict",
)
ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
FILLED = {"collections.defaultdict": dict, "collections.deque": list}  # PyTorch puts nothing into other types
MOST_PACKED = 10  # times its size that the members of a file may have; PyTorch itself packs nothing
_GLOBAL = re.compile(r"GLOBAL (\S+)")


class _Ignored:
    """Stands for an object that is of no use here."""

    def __new__(cls, *_: Any, **__: Any) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _make_array(_: type, kind: Any, shape: Any, code: Any) -> np.ndarray:
    """Do what NumPy's own function does for its plain arrays, whatever class is asked for."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _named(path: str, base: type, **attributes: Any) -> type:
    """Return a type that says of itself that it is the one at `path`; PyTorch finds types by that."""
    module, _, name = path.rpartition(".")
    return type(name, (base,), {"__module__": module, "__qualname__": name, **attributes})


def allowed_types() -> list[type]:
    """Return the types for PyTorch's `add_safe_globals`."""
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdU"]
    made = [_named(path, object, __new__=_make_array) for path in ARRAYS]
    made += [_named(path, object, __new__=lambda *_, kind=kind: kind()) for path, kind in FILLED.items()]
    return [np.ndarray, np.dtype, *dict.fromkeys(numbers), *made, *(_named(path, _Ignored) for path in HARMLESS)]


def load(path: Path) -> Any:
    """Return what a PyTorch file holds, on the CPU.

    Raises:
        ValueError: one line that says what is wrong with it, without its path.
    """
    import torch

    _require_unpacked(path)
    allow = getattr(torch.serialization, "add_safe_globals", None)  # from PyTorch 2.4 on
    if allow:
        allow(allowed_types())
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        found = _GLOBAL.search(str(err))
        what = f" ({found[1]})" if found else ""
        raise ValueError(
            f"holds more than tensors and plain values{what}, which is not loaded, for safety; "
            "save the weights alone where it was made: torch.save(model.state_dict(), FILE)"
        ) from err
    except (
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
        MemoryError,
        OverflowError,
    ) as err:
        if "TorchScript" in str(err):
            raise ValueError(
                "a TorchScript archive, which is a program; save the weights alone where it was made: "
                "torch.save(torch.jit.load(FILE).state_dict(), OTHER)"
            ) from err
        raise ValueError(f"damaged, or no PyTorch file ({type(err).__name__})") from err


def _require_unpacked(path: Path) -> None:
    """Raise a ValueError for an archive that is many times larger inside than outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside, outside = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    except (OSError, ValueError, zipfile.BadZipFile):  # no archive, as of old; PyTorch tells what is wrong with it
        return
    if inside > MOST_PACKED * outside:
        raise ValueError(
            f"damaged, or made to fill the memory: {inside / 1e6:.1f} MB packed into {outside / 1e6:.2g} MB; save it "
            "again with torch.save, which packs nothing"
        )
