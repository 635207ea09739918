"""Types in a PyTorch file other than tensors and plain values, and how to load them without running their code.

PyTorch rejects every type that is not on its list. Of the types added here only NumPy arrays are built; every other
type is replaced by one that accepts any arguments and does nothing.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

# Saved by training scripts with the weights: arguments, dates, NumPy scalars, MMEngine's record of the losses.
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
    "builtins.getattr",  # used by HistoryBuffer to name its own methods
    "builtins.int",
    "builtins.float",
    "builtins.list",
    "builtins.dict",
)
ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
FILLED = {"collections.defaultdict": dict, "collections.deque": list}  # the only container types that PyTorch fills
MOST_PACKED = 10  # accepted ratio of unpacked to packed size; PyTorch itself does not compress
_GLOBAL = re.compile(r"GLOBAL (\S+)")


class _Ignored:
    """Replaces an object that is not needed."""

    def __new__(cls, *_: Any, **__: Any) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _make_array(_: type, kind: Any, shape: Any, code: Any) -> np.ndarray:
    """Make an empty plain array as NumPy's own function does, whatever class is requested."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _named(path: str, base: type, **attributes: Any) -> type:
    """Return a type with the module and name in `path`, by which PyTorch looks types up."""
    module, _, name = path.rpartition(".")
    return type(name, (base,), {"__module__": module, "__qualname__": name, **attributes})


def allowed_types() -> list[type]:
    """Return the types to pass to PyTorch's `add_safe_globals`."""
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdU"]
    made = [_named(path, object, __new__=_make_array) for path in ARRAYS]
    made += [_named(path, object, __new__=lambda *_, kind=kind: kind()) for path, kind in FILLED.items()]
    return [np.ndarray, np.dtype, *dict.fromkeys(numbers), *made, *(_named(path, _Ignored) for path in HARMLESS)]


def load(path: Path) -> Any:
    """Return the content of a PyTorch file, on the CPU.

    Raises:
        ValueError: the file cannot be loaded; the message is one line, without the path.
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
    """Raise a ValueError for an archive whose unpacked size is many times its packed size."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside, outside = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    except (OSError, ValueError, zipfile.BadZipFile):  # not an archive, such as an old format; PyTorch reports errors
        return
    if inside > MOST_PACKED * outside:
        raise ValueError(
            f"damaged, or made to fill the memory: {inside / 1e6:.1f} MB packed into {outside / 1e6:.2g} MB; save it "
            "again with torch.save, which packs nothing"
        )
