"""The stream of training batches, the MindSpore data set that hands it over, and the tool that measures it."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scripts import measure_pipeline
from src.base.errors import DataError
from src.data import prefetch, train_samples
from src.data.cityscapes import LabelCoding, list_samples
from src.data.dataset_factory import create_train_dataset, data_error_from
from src.data.image_files import read_image, read_label
from src.data.prefetch import map_ahead
from src.data.train_samples import TrainBatches, TrainSamples, draw_samples, rank_positions
from src.data.transforms_factory import Compose, create_transforms
from tests.dataset_helpers import make_data, write_cityscapes, write_generic, write_png
from tools.benchmark.pipeline import write_pairs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("cityscapes"), {"train": 7, "val": 3})


def train_source(root, *, seed=1, transforms=None):
    data = make_data(root)
    transforms = transforms or create_transforms(data.train_transforms.item_transforms, 255)
    return TrainSamples(list_samples(str(root), "train"), LabelCoding("cityscapes", 19, 255), transforms, seed=seed)


def train_batches(root, steps, *, seed=1, **options):
    """All batches as copies."""
    return list(TrainBatches(train_source(root, seed=seed), steps, **{"batch_size": 3, **options}))


def assert_same_batches(actual, expected):
    assert len(actual) == len(expected)
    for batch, other in zip(actual, expected):
        for array, other_array in zip(batch, other):
            np.testing.assert_array_equal(array, other_array)


# --------------------------------------------------------------------- order


def test_every_epoch_is_another_permutation_and_nothing_is_dropped():
    drawn = list(draw_samples(range(35), num_samples=7, seed=3))  # batches need not divide an epoch
    epochs = [drawn[start : start + 7] for start in range(0, 35, 7)]
    for number, epoch in enumerate(epochs):
        assert [e for e, _ in epoch] == [number] * 7
        assert sorted(index for _, index in epoch) == list(range(7))
    assert len({tuple(index for _, index in epoch) for epoch in epochs}) == 5


def test_order_depends_on_the_seed_and_can_start_anywhere():
    whole = list(draw_samples(range(40), num_samples=9, seed=1))
    assert list(draw_samples(range(40), num_samples=9, seed=1)) == whole
    assert list(draw_samples(range(40), num_samples=9, seed=2)) != whole
    for start in (1, 8, 9, 31):
        assert list(draw_samples(range(start, 40), num_samples=9, seed=1)) == whole[start:]


def test_ranks_share_a_step():
    alone = list(rank_positions(range(2, 5), 6))
    assert alone == list(range(12, 30))
    ranks = [list(rank_positions(range(2, 5), 2, rank=rank, rank_size=3)) for rank in range(3)]
    assert ranks == [[12, 13, 18, 19, 24, 25], [14, 15, 20, 21, 26, 27], [16, 17, 22, 23, 28, 29]]


# ------------------------------------------------------------------- batches


def test_batches_hold_what_the_transforms_make_of_each_sample(cityscapes):
    """Sample by sample, straight from the files, with the generator of (seed, epoch, index)."""
    source = train_source(cityscapes)
    order = list(draw_samples(range(12), 7, seed=1))
    batches = train_batches(cityscapes, range(4))
    for position, (epoch, index) in enumerate(order):
        image_path, label_path = source.samples[index]
        label = np.vectorize(lambda value: LabelCoding("cityscapes", 19, 255).table[value])(read_label(label_path))
        rng = np.random.default_rng((1, epoch, index))
        image, label = source.transforms(read_image(image_path), label.astype(np.uint8), rng)
        np.testing.assert_array_equal(batches[position // 3][0][position % 3], image)
        np.testing.assert_array_equal(batches[position // 3][1][position % 3], label)


def test_batches_do_not_depend_on_the_number_of_workers(cityscapes):
    one = train_batches(cityscapes, range(8), workers=1)
    assert_same_batches(train_batches(cityscapes, range(8), workers=2), one)
    assert_same_batches(train_batches(cityscapes, range(8), workers=3), one)


def test_same_seed_same_batches_other_seed_other_batches(cityscapes):
    first, again, other = (train_batches(cityscapes, range(2), seed=seed) for seed in (5, 5, 6))
    assert_same_batches(first, again)
    assert not np.array_equal(first[0][0], other[0][0])


def test_ranks_together_see_what_one_rank_with_the_total_batch_sees(cityscapes):
    alone = train_batches(cityscapes, range(5), batch_size=4)
    ranks = [train_batches(cityscapes, range(5), batch_size=2, rank=rank, rank_size=2) for rank in (0, 1)]
    together = [tuple(np.concatenate(pair) for pair in zip(*batches)) for batches in zip(*ranks)]
    assert_same_batches(together, alone)


def test_a_late_start_continues_the_run_and_reads_nothing_else(cityscapes, monkeypatch):
    whole = train_batches(cityscapes, range(9))
    reads, read_pair = Counter(), train_samples.read_pair

    def counting(image_path, label_path, coding, max_pixels):
        reads[image_path] += 1
        return read_pair(image_path, label_path, coding, max_pixels)

    monkeypatch.setattr(train_samples, "read_pair", counting)
    assert_same_batches(train_batches(cityscapes, range(7, 9), workers=2), whole[7:])
    assert sum(reads.values()) == 2 * 3


def test_iterating_again_starts_again(cityscapes):
    batches = TrainBatches(train_source(cityscapes), range(3), batch_size=2)
    assert len(batches) == 3
    assert_same_batches(list(batches), list(batches))


def test_samples_draw_different_numbers_whoever_reads_them(cityscapes):
    """No two samples of a run share random numbers, in neighbouring threads or in any others."""
    drawn = []

    class Recorder:
        def __call__(self, image, label, rng):
            drawn.append(tuple(rng.integers(0, 2**62, 2).tolist()))
            return image, label

    source = train_source(cityscapes, transforms=Compose([Recorder()]))
    list(map_ahead(source.read, itertools.product(range(6), range(7)), workers=3))
    assert len(set(drawn)) == 42


# ------------------------------------------------------- the MindSpore data set


def iterate(dataset):
    return dataset.create_dict_iterator(num_epochs=1, output_numpy=True)


def test_dataset_has_the_promised_columns(cityscapes):
    dataset = create_train_dataset(make_data(cityscapes), num_classes=19, batch_size=3, total_step=5)
    assert dataset.get_dataset_size() == 5
    batches = list(iterate(dataset))
    assert len(batches) == 5
    for batch in batches:
        assert set(batch) == {"image", "label"}
        assert (batch["image"].shape, batch["image"].dtype) == ((3, 3, 32, 64), np.float32)
        assert (batch["label"].shape, batch["label"].dtype) == ((3, 32, 64), np.int32)
        assert set(np.unique(batch["label"])) <= {*range(19), 255}
        assert np.isfinite(batch["image"]).all()
    assert len({batch["image"].tobytes() for batch in batches}) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_dataset_hands_over_the_batches_unchanged(cityscapes, workers):
    options = {
        "num_classes": 19,
        "batch_size": 2,
        "total_step": 6,
        "start_step": 2,
        "seed": 4,
        "rank": 1,
        "rank_size": 2,
    }
    dataset = create_train_dataset(make_data(cityscapes, workers=workers), **options)
    expected = train_batches(cityscapes, range(2, 6), seed=4, batch_size=2, rank=1, rank_size=2)
    assert_same_batches([(batch["image"], batch["label"]) for batch in iterate(dataset)], expected)


def test_dataset_uses_this_ranks_share_of_the_cores(cityscapes, monkeypatch):
    monkeypatch.setattr(prefetch, "usable_cores", lambda: 16)
    options = {"num_classes": 19, "batch_size": 2, "total_step": 100}
    data = make_data(cityscapes, workers=64)
    assert create_train_dataset(data, **options).source.workers == 16
    assert create_train_dataset(data, **options, rank_size=4).source.workers == 4
    assert create_train_dataset(data, **options, rank_size=32).source.workers == 2
    assert create_train_dataset(data, **options, rank_size=32, ranks_on_host=4).source.workers == 4


def test_dataset_of_a_generic_data_set_keeps_its_ids(tmp_path):
    write_generic(tmp_path, num_classes=3)
    dataset = create_train_dataset(make_data(tmp_path, name="generic"), num_classes=3, batch_size=2, total_step=4)
    values = set(np.unique(np.stack([batch["label"] for batch in iterate(dataset)])).tolist())
    assert {0, 1, 2} <= values <= {0, 1, 2, 255}


def test_dataset_without_data_says_so_at_once(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        create_train_dataset(make_data(tmp_path / "gone"), num_classes=19, batch_size=2, total_step=4)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("image", lambda path: path.write_bytes(path.read_bytes()[:-40]), r"the file is incomplete .*; copy .* again$"),
        ("label", lambda path: path.unlink(), "no such file$"),
        (
            "label",
            lambda path: write_png(path, np.full((48, 96), 99, np.uint8)),
            "label values 99: no Cityscapes label",
        ),
        (
            "image",
            lambda path: write_png(path, np.zeros((40, 96, 3), np.uint8)),
            "has 40x96 pixels but .*Ids.png 48x96$",
        ),
    ],
)
def test_a_bad_file_ends_the_run_with_its_name(tmp_path, workers, name, damage, message):
    root = write_cityscapes(tmp_path / "däta set", {"train": 4})
    image, label = list_samples(str(root), "train")[3]
    bad = Path({"image": image, "label": label}[name])
    damage(bad)
    dataset = create_train_dataset(make_data(root, workers=workers), num_classes=19, batch_size=2, total_step=8)
    with pytest.raises(RuntimeError) as caught:
        list(iterate(dataset))
    error = data_error_from(caught.value)
    with pytest.raises(DataError, match=f"^{bad}:? {message}"):
        raise error
    assert "\n" not in str(error)


def test_other_errors_are_no_data_errors():
    assert data_error_from(RuntimeError("ValueError: wrong shape")) is None
    error = DataError("x.png: no such file")
    assert data_error_from(error) is error


ENDLESS = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background of a script ignores it
sys.path.insert(0, {root!r})
from pathlib import Path
from src.data.dataset_factory import create_train_dataset
from tests.dataset_helpers import make_data
data = make_data(Path({data!r}))
dataset = create_train_dataset(data, num_classes=19, batch_size=2, total_step=10**6)
for number, _ in enumerate(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)):
    if number == 3:
        print("running", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_and_leaves_nothing_behind(cityscapes, tmp_path, number):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS.format(root=str(ROOT), data=str(cityscapes)), encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == b"running\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        assert children == ""  # reading threads, no processes that could outlive it
        process.send_signal(number)
        assert process.wait(timeout=30) in (-number, 128 + number)
    finally:
        process.kill()
        process.stdout.close()


def test_the_measuring_tool_prints_a_line_for_each_number_of_workers(cityscapes, capsys):
    options = ["--crop_size", "32", "64", "--batch_size", "2", "--batches", "2"]
    measure_pipeline.main(["--dataset_dir", str(cityscapes), *options])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["1", "2"]
    assert all(float(number) > 0 for row in rows for number in row[1::2])


def test_the_measuring_tool_makes_up_pairs_as_large_as_those_of_cityscapes(tmp_path):
    write_pairs(tmp_path, count=1)
    image, label = list_samples(str(tmp_path), "train")[0]
    assert read_image(image).shape == (1024, 2048, 3)
    assert 2.0e6 < Path(image).stat().st_size < 2.6e6
    assert len(np.unique(LabelCoding("cityscapes", 19, 255).to_train_ids(read_label(label), label))) > 5
