"""What a data sink of MindSpore's does, without the device that has one.

`ModelStandIn` follows the documentation of `Model.train` and of the callbacks. `OwnLoop` is the installed MindSpore's
own loop, in which the data channel alone is replaced: it shows that the documentation and the stand-in are right.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from unittest import mock

import mindspore as ms
from mindspore.train import Model
from mindspore.train import model as model_module

from src.state.data_wait import Feed


class Batches:
    """Stands in for the training data set: the batch of a step is the step's number."""

    def __init__(self, start: int, end: int, feed: Feed | None, before_batch=lambda: None) -> None:
        self.steps, self.feed, self.before_batch = range(start, end), feed, before_batch

    def _numbers(self) -> Iterator[tuple[int]]:
        for step in self.steps:
            self.before_batch()
            yield (step,)

    def __iter__(self) -> Iterator[tuple[int]]:
        return self.feed.watch(self._numbers()) if self.feed else self._numbers()

    def get_dataset_size(self) -> int:
        return len(self.steps)

    def reset(self) -> None:
        """Called by MindSpore after a pass without a sink."""


class RunContext:
    """What callbacks get."""

    def __init__(self) -> None:
        self.arguments, self.stop = SimpleNamespace(cur_step_num=0), False

    def original_args(self) -> SimpleNamespace:
        return self.arguments

    def request_stop(self) -> None:
        self.stop = True


class ModelStandIn:
    """`Model` as documented.

    With a sink "each epoch will train `sink_size` steps", "`step_end` will be called at the end of epoch in graph
    mode", "the next epoch continues to traverse from the end position of the previous traversal" and the data set "will
    be bound to this model and cannot be used by other models".
    """

    def __init__(self, network: ms.nn.Cell) -> None:
        self.network = network

    def train(self, epoch, train_dataset, callbacks, dataset_sink_mode, sink_size) -> None:
        assert not hasattr(train_dataset, "model"), "used by another model"
        train_dataset.model = self
        size = sink_size if dataset_sink_mode else 1
        sinks = epoch if dataset_sink_mode else epoch * train_dataset.get_dataset_size()
        batches, context = iter(train_dataset), RunContext()
        for callback in callbacks:
            callback.on_train_begin(context)
        for _ in range(sinks):
            fetched = [] if dataset_sink_mode else [next(batches)]
            context.arguments.cur_step_num += size
            for callback in callbacks:
                callback.on_train_step_begin(context)
            for batch in fetched or itertools.islice(batches, size):
                context.arguments.net_outputs = self.network(*batch)
            for callback in callbacks:
                callback.on_train_step_end(context)
            if context.stop:
                break
        for callback in callbacks:
            callback.on_train_end(context)


class Channel:
    """The data channel between host and device: a sink takes its batches inside the graph."""

    def __init__(self, network: ms.nn.Cell, dataset: Batches, size: int | None) -> None:
        self.network, self.size, self.batches = network, size, iter(dataset)

    def __iter__(self) -> Iterator[tuple]:
        return iter([()] if self.size else self.batches)  # inputs of the network a step, or none a sink

    def __call__(self) -> tuple:
        return [self.network(*next(self.batches)) for _ in range(self.size)][-1]

    def sink_size(self) -> int:
        return self.size

    def set_train(self, mode: bool) -> None:
        """Like a cell's."""

    def continue_send(self) -> None:
        """Nothing is sent ahead."""

    stop_send = release = continue_send


class OwnLoop(Model):
    """The installed MindSpore's `Model`, told that this is an Ascend in graph mode."""

    def train(self, epoch, train_dataset, callbacks, dataset_sink_mode, sink_size) -> None:
        names = {"device_target": "Ascend", "mode": ms.GRAPH_MODE}
        settings = SimpleNamespace(**vars(model_module.context))
        settings.get_context = lambda name: names[name] if name in names else ms.get_context(name)
        with mock.patch.object(model_module, "context", settings):
            super().train(epoch, train_dataset, callbacks, dataset_sink_mode, sink_size)

    def _exec_preprocess(
        self, is_train, dataset, dataset_sink_mode, sink_size=-1, epoch_num=1, dataset_helper=None
    ) -> tuple:
        self._backbone_is_train = is_train
        channel = dataset_helper or Channel(self._train_network, dataset, sink_size if dataset_sink_mode else None)
        return channel, channel
