"""The configuration keys of the loss; part of `src/config/schema.py`."""

from dataclasses import dataclass
from typing import Optional

from src.config.registry import LOSSES
from src.config.schema_base import Section, at_least, inside, key, require

THRESH = 0.7  # of the published PyTorch training
UNUSED = "does nothing without loss.type=ohem"


@dataclass(frozen=True)
class Loss(Section):
    """The loss of each head."""

    type: str = key(
        "ce",
        "cross entropy of all valid pixels, or of the hard ones (online hard example mining)",
        choices=LOSSES,
    )
    ohem_thresh: float = key(
        THRESH, "with ohem: a pixel is hard if its class gets a probability below this", check=inside(0, 1)
    )
    ohem_min_kept: Optional[int] = key(
        None,
        "with ohem: pixels kept at least, of a batch on one device; null = a sixteenth of its pixels",
        check=at_least(1),
    )

    def problems(self) -> list[str]:
        idle = self.type != "ohem"
        problems = require(not (idle and self.ohem_thresh != THRESH), "ohem_thresh", UNUSED)
        return problems + require(not idle or self.ohem_min_kept is None, "ohem_min_kept", UNUSED)
