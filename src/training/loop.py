"""Run MindSpore's training loop over a range of steps, in data sinks where the device supports them."""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

from mindspore import Model

from src.config import schema
from src.data.dataset_factory import create_train_dataset, data_error_from
from src.modules.train_warpper import TrainOneStepCell
from src.state.data_wait import Feed
from src.state.train_state import TrainState
from src.training.step_bar import StepBar
from src.utils.runtime import Runtime

logger = logging.getLogger(__name__)

SHORT_SINK = 5  # steps; a run is not cut into shorter sinks to save a second compilation


class Segment(NamedTuple):
    """Steps start + 1 ... end, in data sinks of equal size."""

    start: int
    end: int
    sink_size: int  # 1: no sink, because MindSpore handles sinks of one step differently (dynamic shapes)

    @property
    def sinks(self) -> int:
        """Number of data sinks."""
        return (self.end - self.start) // self.sink_size


def sink_segments(first: int, last: int, sink_size: int) -> list[Segment]:
    """Cut steps first + 1 ... last so that every multiple of `sink_size` ends a sink.

    Only the first and the last segment may be shorter than `sink_size`.
    """
    on_grid, off_grid = min(-(-first // sink_size) * sink_size, last), max(last // sink_size * sink_size, first)
    cuts = sorted({first, on_grid, off_grid, last})
    return [Segment(start, end, min(sink_size, end - start)) for start, end in zip(cuts, cuts[1:])]


def plan_sinks(
    first: int, last: int, log_interval: int, checkpoint_interval: int, end_option: str = "--total_step"
) -> list[Segment]:
    """Cut steps first + 1 ... last so that a sink ends at every log and checkpoint.

    Each sink size is compiled separately, which takes minutes. Therefore one size is used for all steps if its sinks
    have at least `SHORT_SINK` steps; otherwise the steps that do not fill a regular sink get one of their own. The log
    names them and how to avoid them; `end_option` is the option that sets the last step.
    """
    grid = math.gcd(log_interval, checkpoint_interval)
    even = math.gcd(grid, first, last)
    segments = sink_segments(first, last, even if even >= SHORT_SINK else grid)
    size = max(segment.sink_size for segment in segments)
    if size == 1:
        logger.info(
            "no data sink: with --log_interval %d and --checkpoint_interval %d it would have a single step; "
            "where both are multiples of 10 it has 10",
            log_interval,
            checkpoint_interval,
        )
        return [Segment(first, last, 1)]
    logger.info("data sink: %d steps", size)
    for start, end, steps in segments:
        if steps < size:
            advice = f"{end_option} {-(-last // grid) * grid}" if end == last else f"resuming at a multiple of {grid}"
            how = f"a sink of {steps}" if steps > 1 else "no sink"
            logger.info("steps %d to %d: %s, compiled once more; %s would avoid it", start + 1, end, how, advice)
    return segments


def run_training(
    train_cell: TrainOneStepCell, state: TrainState, callbacks: list, config: schema.Config, runtime: Runtime
) -> None:
    """Train from `state.step` to `state.last_step` or to a stop signal; a step may take several passes.

    Raises:
        DataError: an image or label turned out to be unusable.
    """
    segments, passes = [Segment(state.step, state.last_step, 1)], state.accumulate_steps
    if runtime.device_target == "Ascend" and config.ms_mode == 0:
        option = "--total_step" if state.last_step == state.total_step else "--stop_step"
        segments = plan_sinks(state.step, state.last_step, config.log_interval, config.checkpoint_interval, option)
    if config.ms_mode == 0:
        logger.info("the first step compiles the graph, which takes from half a minute to several minutes")
    for segment in segments:
        if state.stopping:
            return
        state.feed = Feed() if (sink := segment.sink_size > 1) else None
        dataset = create_train_dataset(
            config.data,
            num_classes=config.num_classes,
            batch_size=config.batch_size,
            seed=config.seed,
            start_step=passes * segment.start,
            total_step=passes * segment.end,
            rank=runtime.rank,
            rank_size=runtime.rank_size,
            ranks_on_host=runtime.ranks_sharing_cores,
            feed=state.feed,
        )
        epochs, size = (segment.sinks, passes * segment.sink_size) if sink else (1, -1)
        try:
            with StepBar(state) as bar:
                shown = [*callbacks, bar]
                Model(train_cell).train(epochs, dataset, callbacks=shown, dataset_sink_mode=sink, sink_size=size)
        except RuntimeError as err:
            data_error = data_error_from(err)
            if data_error is None:
                raise
            raise data_error from err
