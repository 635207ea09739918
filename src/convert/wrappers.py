"""The networks among named tensors, whatever stands before their names."""

from __future__ import annotations

from collections.abc import Iterable

from src.convert.families import FAMILIES

# What data-parallel, compiled, sharded and checkpointed modules put into the names of their parameters, anywhere.
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


def networks_in(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the networks of a known family: by what their names begin with, their own names to the names given.

    A beginning is "" or ends in a dot, such as "model." A name belongs to the network with the longest beginning.

    Args:
        names: of the tensors, as the file has them.
    """
    names = list(names)
    given = {_unwrapped(name): name for name in names}
    if len(given) < len(names):  # then the wrappers tell tensors apart
        given = {name: name for name in names}
    signs = [family.sign for family in FAMILIES.values()]
    before = {name[: -len(sign)] for name in given for sign in signs if name.endswith(sign)}
    starts = sorted((start for start in before if not start or start.endswith(".")), key=len, reverse=True)
    found: dict[str, dict[str, str]] = {start: {} for start in reversed(starts)}
    for name, original in given.items():
        start = next((start for start in starts if name.startswith(start)), None)
        if start is not None:
            found[start][name[len(start) :]] = original
    return found


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
