"""Evaluation samples: images resized for the network, labels at their own size, and class maps resized back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.base.errors import DataError
from src.base.paths import fitting
from src.config import schema
from src.data.cityscapes import list_samples, read_pair
from src.data.label_maps import label_coding
from src.data.picture_sizes import size_of
from src.data.prefetch import map_ahead, usable_workers
from src.data.transforms.resize import Resize
from src.data.transforms_factory import Compose, create_transforms

NAME_OVERHEAD = 30  # bytes that names of results append, such as "_pred_labelIds.png"


class EvalSample(NamedTuple):
    """One image ready for the network, with everything needed to score or draw the result."""

    image: np.ndarray  # (3, H, W) float32, H and W of Resize.target_size; if not normalised (H, W, 3) uint8 RGB
    label: np.ndarray | None  # (h, w) uint8 train ids, never resized; None if the split has no labels
    fitted: tuple[int, int]  # height and width of the picture inside H and W; the rest is padding
    original: tuple[int, int]  # height and width of the image file, and of the label
    image_path: str
    label_path: str | None
    stem: (
        str  # name of every result: the image's file name without its suffix, with folders if that alone is not unique
    )


def unique_stems(paths: Sequence[str]) -> list[str]:
    """Return a name for each path: its stem, or, if stems are not unique, the path below the common folder.

    Names that are too long for a file are shortened.
    """
    stems = [fitting(Path(path).stem, NAME_OVERHEAD) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    common = os.path.commonpath(paths)
    stems = ["_".join(Path(path).relative_to(common).with_suffix("").parts) for path in paths]
    stems = [fitting(stem, NAME_OVERHEAD) for stem in stems]
    named: dict[str, str] = {}
    for stem, path in zip(stems, paths):
        if named.setdefault(stem, path) != path:
            raise DataError(f"{path} and {named[stem]} would both be called {stem} in the results; rename one of them")
    return stems


class EvalSamples:
    """The samples of one split by index, in the order of the list.

    Args:
        data: the data set and its transforms.
        num_classes: number of classes.
        split: name of the split.
        normalized: False leaves the pictures as they are after `Resize`, for networks that normalise themselves.
        labelled: False ignores labels.
    """

    def __init__(
        self,
        data: schema.Data,
        *,
        num_classes: int,
        split: str = "val",
        normalized: bool = True,
        labelled: bool = True,
    ) -> None:
        self.samples = list_samples(data.dataset_dir, split, data.name, labelled=labelled)
        self.stems = unique_stems(self.samples.images.tolist())
        self.coding = label_coding(data, num_classes)
        self.transforms = create_transforms(data.eval_transforms.item_transforms, data.ignore_label)
        self.resize = next(t for t in self.transforms.transforms if isinstance(t, Resize))
        if not normalized:
            self.transforms = Compose([self.resize])
        self.num_parallel_workers, self.max_pixels = data.num_parallel_workers, data.max_pixels

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> EvalSample:
        image_path, label_path = self.samples[index]
        image, label = read_pair(image_path, label_path, self.coding, self.max_pixels)
        original = size_of(image)
        image, label = self.transforms(image, label)
        fitted = self.resize.fitted_size(*original)
        return EvalSample(image, label, fitted, original, image_path, label_path, self.stems[index])

    def read_ahead(self, indices: Iterable[int] | None = None) -> Iterator[EvalSample]:
        """Yield the samples at `indices` (default: all), reading the next ones in threads meanwhile.

        Raises:
            DataError: a file is missing, damaged or holds invalid values.
        """
        indices = range(len(self)) if indices is None else list(indices)
        workers = usable_workers(self.num_parallel_workers, len(indices))
        return map_ahead(self.__getitem__, indices, workers)


def restore_class_map(pred: np.ndarray, fitted: tuple[int, int], label_size: tuple[int, int]) -> np.ndarray:
    """Resize a class map of the network's size to the label's: cut off the padding, then nearest neighbour.

    Row y of the result is row floor(y * fitted / label_size), likewise the columns. That is cv2.INTER_NEAREST, but in
    integers, because OpenCV's floating-point product can fall just short of one. Equal sizes are not resampled.

    Args:
        pred: (H, W) train ids of any integer type.
        fitted: height and width of the picture inside (H, W), see `EvalSample`.
        label_size: height and width of the result.

    Returns:
        uint8 train ids of size `label_size`.
    """
    class_map = pred[: fitted[0], : fitted[1]].astype(np.uint8)
    if class_map.shape == tuple(label_size):
        return class_map
    rows, columns = (np.arange(length) * source // length for length, source in zip(label_size, fitted))
    return class_map.take(rows, axis=0).take(columns, axis=1)
