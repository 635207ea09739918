"""The endless, reproducible stream of training samples, and the batches a rank takes from it.

Position g of the stream lies in epoch ``g // n`` of a data set with n samples; every epoch is a new permutation and
nothing is dropped at its end. Step s of a run with R ranks and batch size b covers positions s·R·b ... (s+1)·R·b - 1,
rank r the r-th b of them: the samples of a step depend on the total batch R·b alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from src.config import schema
from src.config.schema_data import MAX_PIXELS
from src.data.cityscapes import LabelCoding, Samples, list_samples, read_pair
from src.data.label_maps import label_coding
from src.data.prefetch import map_ahead
from src.data.transforms_factory import Compose, create_transforms
from src.state.data_wait import Feed


def rank_positions(steps: range, batch_size: int, *, rank: int = 0, rank_size: int = 1) -> Iterator[int]:
    """Yield the stream positions of one rank, `batch_size` per step."""
    for step in steps:
        first = (step * rank_size + rank) * batch_size
        yield from range(first, first + batch_size)


def draw_samples(positions: Iterable[int], num_samples: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield the (epoch, sample index) at each of the `positions`, which ascend."""
    current, order = -1, np.empty(0, np.int64)
    for position in positions:
        epoch, place = divmod(position, num_samples)
        if epoch != current:
            # num_samples is not a sample index, so no sample's augmentation has this seed
            current, order = epoch, np.random.default_rng((seed, epoch, num_samples)).permutation(num_samples)
        yield epoch, int(order[place])


class TrainSamples:
    """Training samples by (epoch, index), decoded and augmented."""

    def __init__(
        self, samples: Samples, coding: LabelCoding, transforms: Compose, *, seed: int, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.samples = samples
        self.coding = coding
        self.transforms = transforms
        self.seed = seed
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, epoch_and_index: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return image (3, H, W) float32 and train ids (H, W) uint8, identical on every call."""
        epoch, index = epoch_and_index
        image, label = read_pair(*self.samples[index], self.coding, self.max_pixels)
        image, label = self.transforms(image, label, np.random.default_rng((self.seed, epoch, index)))
        assert label is not None  # no training picture is without
        return image, label


def create_train_samples(data: schema.Data, *, num_classes: int, seed: int) -> TrainSamples:
    """Build the training samples that the data section of the configuration describes.

    Raises:
        DataError: the data set is missing or its list is malformed.
    """
    samples = list_samples(data.dataset_dir, "train", data.name)
    coding = label_coding(data, num_classes)
    transforms = create_transforms(data.train_transforms.item_transforms, data.ignore_label)
    return TrainSamples(samples, coding, transforms, seed=seed, max_pixels=data.max_pixels)


class TrainBatches:
    """The batches of `steps` for one rank; every iteration starts with the first.

    Yields image (N, 3, H, W) float32 and train ids (N, H, W) int32; `feed`, if given, records the times.
    """

    def __init__(
        self,
        source: TrainSamples,
        steps: range,
        *,
        batch_size: int,
        rank: int = 0,
        rank_size: int = 1,
        workers: int = 1,
        feed: Feed | None = None,
    ) -> None:
        self.source = source
        self.steps = steps
        self.batch_size = batch_size
        self.rank = rank
        self.rank_size = rank_size
        self.workers = workers
        self.feed = feed

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self.feed.watch(self._batches()) if self.feed else self._batches()

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        positions = rank_positions(self.steps, self.batch_size, rank=self.rank, rank_size=self.rank_size)
        order = draw_samples(positions, len(self.source), self.source.seed)
        pairs = map_ahead(self.source.read, order, self.workers)
        for batch in zip(*[pairs] * self.batch_size):  # groups of batch_size pairs
            images, labels = zip(*batch)
            yield np.stack(images), np.array(labels, np.int32)
