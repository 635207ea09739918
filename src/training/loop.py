"""Drive MindSpore's training loop from one step to another, in data sinks where the device has them."""

from __future__ import annotations

import math

from mindspore import Model

from src.config import schema
from src.data.dataset_factory import create_train_dataset, data_error_from
from src.modules.train_warpper import TrainOneStepCell
from src.state.data_wait import Feed
from src.state.train_state import TrainState
from src.utils.runtime import Runtime


def sink_segments(first: int, last: int, sink_size: int) -> list[tuple[int, int, int]]:
    """Cut steps first ... last into (start, end, sink size) so that every multiple of `sink_size` ends a sink.

    Only the first and the last segment may be shorter than `sink_size`.
    """
    on_grid, off_grid = min(-(-first // sink_size) * sink_size, last), max(last // sink_size * sink_size, first)
    cuts = sorted({first, on_grid, off_grid, last})
    return [(start, end, min(sink_size, end - start)) for start, end in zip(cuts, cuts[1:])]


def run_training(
    train_cell: TrainOneStepCell, state: TrainState, callbacks: list, config: schema.Config, runtime: Runtime
) -> None:
    """Train from `state.step` to the end or to a stop signal.

    Raises:
        DataError: an image or label turned out to be unusable.
    """
    sink = runtime.device_target == "Ascend" and config.ms_mode == 0
    sink_size = math.gcd(config.log_interval, config.checkpoint_interval)
    segments = [(state.step, config.total_step, -1)]
    if sink:
        segments = sink_segments(state.step, config.total_step, sink_size)
    for start_step, end_step, size in segments:
        if state.stopping:
            return
        state.feed = Feed() if sink else None
        dataset = create_train_dataset(
            config.data, num_classes=config.num_classes, batch_size=config.batch_size, start_step=start_step,
            total_step=end_step, seed=config.seed, rank=runtime.rank, rank_size=runtime.rank_size,
            ranks_on_host=runtime.ranks_sharing_cores, feed=state.feed,
        )  # fmt: skip
        epochs = (end_step - start_step) // size if sink else 1
        try:
            Model(train_cell).train(epochs, dataset, callbacks=callbacks, dataset_sink_mode=sink, sink_size=size)
        except RuntimeError as err:
            data_error = data_error_from(err)
            if data_error is None:
                raise
            raise data_error from err
