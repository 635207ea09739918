"""The data set notes when its batches were asked for and when they were there, as MindSpore's thread sees it."""

from __future__ import annotations

import time

from src.data.dataset_factory import create_train_dataset
from src.data.train_samples import TrainSamples
from src.state.data_wait import Feed
from tests.dataset_helpers import make_data, write_cityscapes


def test_reading_that_takes_its_time_is_noted(tmp_path, monkeypatch):
    read, pause = TrainSamples.read, 0.02
    monkeypatch.setattr(TrainSamples, "read", lambda self, place: time.sleep(pause) or read(self, place))
    data, feed = make_data(write_cityscapes(tmp_path, {"train": 7}), workers=1), Feed()
    dataset = create_train_dataset(data, num_classes=19, batch_size=3, total_step=4, feed=feed)
    dataset.output_shapes()  # MindSpore takes a batch for this, before the pass that trains
    begin = time.monotonic()
    assert sum(1 for _ in dataset.create_tuple_iterator(num_epochs=1)) == 4
    end = time.monotonic()
    assert 3 * pause <= feed.waiting_seconds(4, begin, end) <= end - begin  # one thread reads the first three
    assert feed.waiting_seconds(4, begin, end) == 0  # those were all
