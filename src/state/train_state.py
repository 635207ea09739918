"""The progress of a training run, and the signals that ask it to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from src.base.stops import exit_on_signals, stop_signals
from src.distributed.communicator import Communicator
from src.state.data_wait import Feed

logger = logging.getLogger(__name__)


class StepOutputs(NamedTuple):
    """The outputs of the train cell for a step, in this order; callbacks get them as `net_outputs`."""

    loss: Any  # scalar float32, the weighted sum over the heads
    head_losses: Any  # (number of heads,) float32
    loss_scale: Any  # scalar float32, of this step
    overflows: Any  # scalar int32, number of steps so far with non-finite gradients
    bad_streak: Any  # scalar int32, consecutive steps up to this one with non-finite loss or gradients


@dataclass
class TrainState:
    """Progress of the run, and whether a stop was requested; shared by the callbacks."""

    step: int
    total_step: int  # of the schedule
    communicator: Communicator = field(default_factory=Communicator)
    last_step: int = 0  # where this run ends; 0 for total_step
    accumulate_steps: int = 1  # passes per step
    segment_start: int = 0
    first_step: int = field(init=False)  # where this run began
    signal_number: int | None = None
    agreed: bool = False  # whether all ranks know of a signal, see `agree_on_stop`
    bad_streak: int = 0  # consecutive steps with non-finite loss or gradients
    elapsed: float = 0.0  # seconds spent on the steps, with waiting for data, without callbacks
    data_wait: float = 0.0  # seconds of `elapsed` spent waiting for data
    feed: Feed | None = None  # of the running data sinks, if any
    callbacks_done: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.first_step = self.step
        self.last_step = self.last_step or self.total_step

    @property
    def stopping(self) -> bool:
        """True once a signal asked the run to stop; of several ranks, once all of them know."""
        return self.agreed if self.communicator.rank_size > 1 else self.asked_to_stop()

    def agree_on_stop(self) -> None:
        """Share between the ranks whether one was asked to stop, so that all stop after the same step."""
        if self.communicator.rank_size > 1:
            number = self.communicator.largest(self.signal_number or 0 if self.asked_to_stop() else 0)
            self.agreed = number > 0
            self.signal_number = self.signal_number or number or None

    def asked_to_stop(self) -> bool:
        """Return whether a signal asked this process to stop, see `catch_signals`."""
        if self.signal_number is None and signal.SIGINT in signal.sigpending():
            signal.sigwait({signal.SIGINT})
            self.note_signal(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return self.signal_number is not None

    def note_signal(self, number: int, frame: Any = None) -> None:
        """Handle a signal: the first one asks for a stop, a second one ends the process at once."""
        if self.signal_number is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal_number = number
        name = signal.Signals(number).name
        logger.info("%s: finishing the step, then a checkpoint; a second signal ends it at once, without one", name)


@contextlib.contextmanager
def catch_signals(state: TrainState) -> Iterator[None]:
    """Make SIGTERM, SIGINT and, unless it is ignored, SIGHUP request a stop in `state` while the block runs.

    SIGINT is blocked and polled between the steps, because MindSpore installs its own handler while a graph runs or
    compiles, which turns SIGINT into SIGTERM. A thread that does not block SIGINT (see `import_without_signals`) would
    still run that handler, and the exit code would be that of SIGTERM; between graphs it would run Python's handler,
    which requests a stop.
    """
    handlers = {number: signal.signal(number, state.note_signal) for number in stop_signals()}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if state.signal_number is not None:  # the message about it is about to be written
            exit_on_signals(128 + state.signal_number)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
