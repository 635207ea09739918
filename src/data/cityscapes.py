"""The classes and label ids of Cityscapes, and the image/label pairs of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from src.base.errors import DataError
from src.base.file_kinds import no_text
from src.base.json_text import read_whole
from src.base.paths import name_problem, user_path
from src.base.special_files import is_hidden, special_kind
from src.config.registry import DATASETS
from src.config.schema_data import MAX_PIXELS
from src.data.classes import Dataset, Folders, LabelClass
from src.data.image_files import PngHeader, check_label_header, decode_label
from src.data.orientations import read_aligned
from src.data.picture_sizes import size_of

IMAGE_SUFFIX = "_leftImg8bit.png"
LABEL_SUFFIX = "_gtFine_labelIds.png"
LABELLED_SPLITS = ("train", "val")
LONGEST_LIST = 100_000_000  # bytes: a million pairs or more

CLASSES = (
    LabelClass("road", 7, (128, 64, 128)),
    LabelClass("sidewalk", 8, (244, 35, 232)),
    LabelClass("building", 11, (70, 70, 70)),
    LabelClass("wall", 12, (102, 102, 156)),
    LabelClass("fence", 13, (190, 153, 153)),
    LabelClass("pole", 17, (153, 153, 153)),
    LabelClass("traffic light", 19, (250, 170, 30)),
    LabelClass("traffic sign", 20, (220, 220, 0)),
    LabelClass("vegetation", 21, (107, 142, 35)),
    LabelClass("terrain", 22, (152, 251, 152)),
    LabelClass("sky", 23, (70, 130, 180)),
    LabelClass("person", 24, (220, 20, 60)),
    LabelClass("rider", 25, (255, 0, 0)),
    LabelClass("car", 26, (0, 0, 142)),
    LabelClass("truck", 27, (0, 0, 70)),
    LabelClass("bus", 28, (0, 60, 100)),
    LabelClass("train", 31, (0, 80, 100)),
    LabelClass("motorcycle", 32, (0, 0, 230)),
    LabelClass("bicycle", 33, (119, 11, 32)),
)


CITYSCAPES = Dataset(
    "Cityscapes",
    CLASSES,
    label_ids=34,
    void=255,  # a license plate is -1, which is 255 in a file
    folders=Folders("leftImg8bit", IMAGE_SUFFIX, "gtFine", LABEL_SUFFIX),
    hint="no Cityscapes label ids (0..33 and 255); give *_gtFine_labelIds.png, or data.name=generic for train ids of "
    "your own",
)


def map_label(label: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace every value of a (H, W) uint8 label by its entry in a (256,) uint8 table."""
    return cv2.LUT(label, table)


class LabelCoding:
    """The meaning of values in label files: the label ids of the data set called `name`, or train ids."""

    key = "data.name"  # the key that decides

    def __init__(self, name: str, num_classes: int, ignore_label: int) -> None:
        self.dataset = DATASETS[name]
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.table = self.dataset.train_id_table(ignore_label)
        self.num_values, self.void = num_classes, ignore_label
        self.values: dict[int, tuple[str, int]] = {}  # of a configured map: value to its text and its train id
        if self.dataset.classes:
            self.num_values, self.void = self.dataset.label_ids, self.dataset.void

    def check_header(self, path: str, header: PngHeader | None) -> None:
        """Raise a DataError if labels cannot be read from a file of this kind."""
        check_label_header(path, header)

    def decode(self, path: str, data: bytes) -> np.ndarray:
        """Decode the bytes of a label file to values (H, W) uint8; `path` is its name in errors."""
        return decode_label(path, data)

    def invalid_values(self, label: np.ndarray) -> list[int]:
        """Return the values in a (H, W) uint8 label that have no meaning, sorted."""
        if label.max() < self.num_values:
            return []
        return np.unique(label[(label >= self.num_values) & (label != self.void)]).tolist()

    def literal_values(self, values: Sequence[int]) -> list[int]:
        """Return those `values` of a decoded label that its file contains literally."""
        return list(values)

    def check(self, label: np.ndarray, path: str) -> None:
        """Raise a DataError with the file and its invalid values, if there are any."""
        values = self.invalid_values(label)
        if values:
            shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
            raise DataError(f"{path}: label values {shown}: {self._explain(values)}")

    def to_train_ids(self, label: np.ndarray, path: str) -> np.ndarray:
        """Check a (H, W) uint8 label as read from `path` and return its train ids."""
        self.check(label, path)
        return label if self.table is None else map_label(label, self.table)

    def _explain(self, values: list[int]) -> str:
        if self.dataset.classes:
            return self.dataset.hint
        text = f"outside 0..{self.num_classes - 1} and ignore_label {self.ignore_label}"
        if self.num_classes == len(CLASSES) and values[-1] < CITYSCAPES.label_ids:
            text += "; if these are Cityscapes label ids, set data.name=cityscapes"
        return text


class Samples:
    """The image and label paths of one split.

    Held in NumPy arrays, which forked processes share; reference counts would make them copy a list.
    """

    def __init__(self, split: str, pairs: list[tuple[str, str | None]]) -> None:
        self.split = split
        self.images = np.array([image for image, _ in pairs], dtype=np.str_)
        self.labels = np.array([label or "" for _, label in pairs], dtype=np.str_)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[str, str | None]:
        return str(self.images[index]), str(self.labels[index]) or None

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return (self[index] for index in range(len(self)))


def read_pair(
    image_path: str, label_path: str | None, coding: LabelCoding, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read an image (H, W, 3) uint8 RGB and the train ids (H, W) uint8 of its label, None without a label."""
    image, label = read_aligned(image_path, label_path, coding.decode, max_pixels)
    if label is None or label_path is None:
        return image, None
    check_same_size(image_path, size_of(image), label_path, size_of(label))
    return image, coding.to_train_ids(label, label_path)


def check_same_size(image_path: str, image_size: tuple[int, int], label_path: str, label_size: tuple[int, int]) -> None:
    """Raise a DataError if image and label, given as (height, width), differ in size."""
    if image_size != label_size:
        (height, width), (label_height, label_width) = image_size, label_size
        raise DataError(f"{image_path} has {height}x{width} pixels but {label_path} {label_height}x{label_width}")


def list_samples(dataset_dir: str, split: str, name: str = "cityscapes", *, labelled: bool = True) -> Samples:
    """List the pairs of a split: by ``{split}.lst`` in the root if there is one, else by scanning its folders.

    Args:
        dataset_dir: root of the data set.
        split: 'train', 'val', or another one, which need not have labels.
        name: name in `DATASETS`; a data set without folders of its own, such as 'generic', needs the list.
        labelled: False leaves out all labels.

    Raises:
        DataError: there are no samples, or the list is malformed or larger than 100 MB. The existence of the files is
            not checked.
    """
    root, dataset = user_path(dataset_dir), DATASETS[name]
    if not root.is_dir():
        raise DataError(f"data.dataset_dir: no such folder: {root}; {_expected_layout(split, dataset)}")
    list_file = root / f"{split}.lst"
    _require_list(list_file)
    if list_file.is_file():
        return Samples(split, _read_list(list_file, split, dataset, labelled))
    if dataset.folders is None:
        raise DataError(f"{list_file}: no such file; {_expected_layout(split, dataset)}")
    return Samples(split, _scan_folders(root, split, dataset, dataset.folders, labelled))


def _require_list(path: Path) -> None:
    """Raise a DataError if `path` exists but is not a file; otherwise it would be silently ignored."""
    kind = special_kind(path) or ("a folder" if path.is_dir() else "")
    if kind or (path.is_symlink() and not path.exists()):
        kind = kind or "a link that leads nowhere"
        raise DataError(f"{path}: is {kind}, not a regular file; put the list itself there")


def _expected_layout(split: str, dataset: Dataset) -> str:
    is_labelled = split in LABELLED_SPLITS
    line = "'image<TAB>label'" if is_labelled else "image"
    text = f"it must hold {split}.lst with one {line} a line, relative to it"
    if dataset.folders:
        images, image_suffix, labels, label_suffix = dataset.folders
        text += f", or {images}/{split}/<city>/*{image_suffix}"
        text += f" and {labels}/{split}/<city>/*{label_suffix}" if is_labelled else ""
    return text


def _read_list(path: Path, split: str, dataset: Dataset, labelled: bool) -> list[tuple[str, str | None]]:
    try:
        lines = read_whole(path, LONGEST_LIST).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {no_text(path, err)}") from err
    pairs = []
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#"):
            _require_comment(line, path, number)
        elif line.strip():
            image, label = _parse_line(line, f"{path}, line {number}", split)
            label = label if labelled else None
            if dataset is CITYSCAPES and label is not None and "labelTrainIds" in label:
                hint = f"list *{LABEL_SUFFIX}, or set data.name=generic"
                raise DataError(f"{path}, line {number}: {label} holds train ids already; {hint}")
            pairs.append((_resolve(path.parent, image), label and _resolve(path.parent, label)))
    if not pairs:
        raise DataError(f"{path}: the list is empty; {_expected_layout(split, dataset)}")
    return pairs


def _resolve(folder: Path, name: str) -> str:
    return str(user_path(name) if name.startswith("~/") else folder / name)


def _require_comment(line: str, path: Path, number: int) -> None:
    """Raise a DataError if a line that looks like a comment begins with the name of an existing file."""
    name = line.split("\t")[0].strip() if "\t" in line else line.split()[0]
    if not name_problem(name) and (path.parent / name).is_file():
        raise DataError(f"{path}, line {number}: begins with # like a comment, but {name} is a file; write ./{name}")


def _parse_line(line: str, where: str, split: str) -> tuple[str, str | None]:
    """Split a line at TABs or, if it has none, at spaces: names with spaces need the TAB."""
    fields = [field.strip() for field in line.split("\t") if field.strip()] if "\t" in line else line.split()
    problem = next(filter(None, map(name_problem, fields)), "")
    if problem:
        raise DataError(f"{where}: {problem}")
    if len(fields) > 2:
        raise DataError(
            f"{where}: expected image and label, got {len(fields)} fields; names with spaces need a TAB between"
        )
    if len(fields) == 2:
        return fields[0], fields[1]
    if split in LABELLED_SPLITS:
        raise DataError(f"{where}: no label for {fields[0]}; the {split} split needs 'image<TAB>label'")
    return fields[0], None


def _scan_folders(
    root: Path, split: str, dataset: Dataset, folders: Folders, labelled: bool
) -> list[tuple[str, str | None]]:
    image_folder, image_suffix, label_folder, label_suffix = folders
    image_root, label_root = root / image_folder / split, root / label_folder / split
    images = _names(image_root, image_suffix)
    labels = _names(label_root, label_suffix) if labelled else set()
    if not images:
        raise DataError(f"{root}: no images of the {split} split; {_expected_layout(split, dataset)}")
    if split in LABELLED_SPLITS and not label_root.is_dir():
        raise DataError(
            f"{label_root}: no such folder, but {image_folder}/{split} has images; unpack {label_folder}, too"
        )
    pairs = []
    # A label without an image is listed as well, as a broken pair that the check before training reports.
    for name in sorted(images | labels):
        label = f"{label_root / name}{label_suffix}"
        has_label = split in LABELLED_SPLITS or name in labels
        pairs.append((f"{image_root / name}{image_suffix}", label if has_label else None))
    return pairs


def _names(folder: Path, suffix: str) -> set[str]:
    """Return ``<city>/<city>_<sequence>_<frame>`` of every file with `suffix`, without hidden files."""
    found = (path.relative_to(folder) for path in folder.glob(f"*/*{suffix}"))
    return {str(path)[: -len(suffix)] for path in found if not is_hidden(path)}
