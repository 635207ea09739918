"""The training data set for MindSpore. Code that needs no MindSpore is in train_samples and eval_samples."""

from __future__ import annotations

import logging
import re

import mindspore.dataset as ds

from src.base.errors import DataError
from src.config import schema
from src.data.prefetch import usable_workers
from src.data.train_samples import TrainBatches, create_train_samples
from src.state.data_wait import Feed

logger = logging.getLogger(__name__)
# Not ConnectionError and the like, which also occur when ranks lose their connection.
_IN_TEXT = re.compile(r"\b(?:DataError|(?:OS|FileNotFound|IsADirectory|NotADirectory|Permission)Error): (.+)")
COLUMNS = ["image", "label"]
BATCHES_AHEAD = 2  # MindSpore's default of 16 would keep a gigabyte of 1024x1024 batches


def create_train_dataset(  # noqa: PLR0913 - that many numbers define the position of a run in the stream
    data: schema.Data,
    *,
    num_classes: int,
    batch_size: int,
    total_step: int,
    start_step: int = 0,
    seed: int = 1,
    rank: int = 0,
    rank_size: int = 1,
    ranks_on_host: int | None = None,
    feed: Feed | None = None,
) -> ds.GeneratorDataset:
    """Create the batches of steps `start_step` ... `total_step` - 1 for one rank.

    Columns: "image" (N, 3, H, W) float32 and "label" (N, H, W) int32 train ids. The same seed gives the same batches,
    whatever the number of workers; starting later skips batches without decoding them.

    Args:
        data: the data section of the configuration.
        num_classes: number of classes, without the ignored one.
        batch_size: images per step and rank.
        total_step: step at which the run ends.
        start_step: step at which it starts or resumes.
        seed: seed of order and augmentation.
        rank: number of this process.
        rank_size: number of processes.
        ranks_on_host: how many of them share this machine's cores; default: all, up to the 8 an Ascend host has.
        feed: records when batches are requested and available.

    Raises:
        DataError: the data set is missing or its list is malformed.
    """
    source = create_train_samples(data, num_classes=num_classes, seed=seed)
    steps = range(start_step, total_step)
    workers = usable_workers(data.num_parallel_workers, len(steps) * batch_size, ranks_on_host or min(rank_size, 8))
    logger.info("training data: %d samples, %d reading threads", len(source), workers)
    place = {"rank": rank, "rank_size": rank_size}
    return _fetching(TrainBatches(source, steps, batch_size=batch_size, **place, workers=workers, feed=feed))


def _fetching(batches: TrainBatches) -> ds.GeneratorDataset:
    """Wrap `batches` without worker processes, as it has its own threads: no shared memory, no 6 MB limit per row."""
    ds.config.set_prefetch_size(BATCHES_AHEAD)
    return ds.GeneratorDataset(batches, COLUMNS, shuffle=False, num_parallel_workers=1, python_multiprocessing=False)


def data_error_from(exception: BaseException) -> DataError | None:
    """Return the DataError within the long text that MindSpore makes of a pipeline exception; None if there is none.

    An OSError of failing storage counts as a DataError.
    """
    if isinstance(exception, DataError):
        return exception
    found = _IN_TEXT.search(str(exception))
    return DataError(found.group(1).strip()) if found else None
