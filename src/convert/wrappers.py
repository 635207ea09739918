"""Find the networks among named tensors, whatever the prefix of their names."""

from __future__ import annotations

from collections.abc import Iterable

from src.convert.families import FAMILIES

# Names that data-parallel, compiled, sharded and checkpointed modules insert anywhere in the names of parameters.
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


def find_networks(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the networks of known families by prefix; each maps the names without prefix to the names given.

    A prefix is "" or ends in a dot, such as "model." A name belongs to the network with the longest prefix.

    Args:
        names: names of the tensors in the file.
    """
    names = list(names)
    given = {_unwrapped(name): name for name in names}
    if len(given) < len(names):  # tensors differ in their wrappers only
        given = {name: name for name in names}
    markers = [family.marker for family in FAMILIES.values()]
    before = {name[: -len(marker)] for name in given for marker in markers if name.endswith(marker)}
    prefixes = sorted((prefix for prefix in before if not prefix or prefix.endswith(".")), key=len, reverse=True)
    found: dict[str, dict[str, str]] = {prefix: {} for prefix in reversed(prefixes)}
    for name, original in given.items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is not None:
            found[prefix][name[len(prefix) :]] = original
    return found


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
