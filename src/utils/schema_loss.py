"""The configuration keys of the loss; part of `src/utils/schema.py`."""

from dataclasses import dataclass
from typing import Optional

from src.utils.schema_base import Section, at_least, inside, key


@dataclass(frozen=True)
class Loss(Section):
    """The loss of each head."""

    type: str = key(
        "ce",
        "cross entropy of all valid pixels, or of the hard ones (online hard example mining)",
        choices=("ce", "ohem"),
    )
    ohem_thresh: float = key(
        0.7, "with ohem: a pixel is hard if its class gets a probability below this", check=inside(0, 1)
    )
    ohem_min_kept: Optional[int] = key(
        None,
        "with ohem: pixels kept at least, of a batch on one device; null = a sixteenth of its pixels",
        check=at_least(1),
    )
