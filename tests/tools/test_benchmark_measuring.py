"""What the benchmark counts and adds up, and how it talks to the processes that do the work."""

from __future__ import annotations

import sys
import types

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.base.errors import UserError
from src.base.memory import peak_memory_mb
from src.utils.config import parse_config
from tests.run_helpers import ROOT
from tests.runner_helpers import torch_python
from tools.benchmark import mindspore_work, samples, sections
from tools.benchmark.onednn import parse_line, sum_by_kind
from tools.benchmark.worker import Worker


@pytest.fixture
def pynative():
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=mode)


def test_summary_and_ratio_by_hand():
    assert samples.summarize([3.0, 1.0, 10.0]) == (3, 3.0, 1.0, 10.0)
    assert samples.summarize([4.0, 1.0, 2.0, 9.0]) == (4, 3.0, 1.0, 9.0)
    assert samples.ratio_of_medians([6.0, 2.0, 4.0], [8.0, 1.0, 2.0]) == 2.0


def test_time_by_kind_by_hand():
    steps = [
        {"ms": 10.0, "kinds": {"a": 1.0, "b": 4.0}},
        {"ms": 20.0, "kinds": {"a": 2.0, "b": 5.0}},
        {"ms": 30.0, "kinds": {"b": 6.0}},
    ]
    # what is left: 5, 13 and 24
    assert list(samples.median_by_kind(steps).items()) == [("b", 5.0), ("a", 1.0), ("everything else", 13.0)]


V2 = "dnnl_verbose,exec,cpu,convolution,gemm:jit,{},src_f32::blocked:abcd:f0 dst_f32::blocked:abcd:f0,,alg:direct,{},{}"
V3 = "onednn_verbose,v1,primitive,exec,cpu,{},jit:avx2,{},src:f32:a:blocked:aBcd8b::f0,attr-scratchpad:user,{},{}"


@pytest.mark.parametrize(
    ("line", "kind", "milliseconds"),
    [
        (V2.format("forward_training", "mb1_ic3oc16_ih8oh4kh3sh2", "21.769"), "dense convolution, forward", 21.769),
        (V2.format("backward_data", "mb2_g16ic16oc96_ih8oh8", "0.5"), "grouped convolution, backward, data", 0.5),
        (V2.format("forward_training", "mb2_g1ic16oc16_ih8oh8", "1e-3"), "dense convolution, forward", 0.001),
        (
            V3.format("convolution", "backward_weights", "alg:direct,g128mb2_ic128oc128_ih16oh16", "7.85"),
            "grouped convolution, backward, weights",
            7.85,
        ),
        (
            V3.format("convolution", "forward_inference", "alg:direct,mb2_ic128oc128_ih16oh16", "1"),
            "dense convolution, forward",
            1.0,
        ),
        (V3.format("reorder", "undef", ",16x32x3x3", "0.004"), "reorder", 0.004),
        (
            "dnnl_verbose,exec,cpu,batch_normalization,ncsp_bnorm:any,backward,data_f32::blocked:abcd:f0,,flags:S,mb2ic1,2\n",
            "batch normalization, backward",
            2.0,
        ),
    ],
)
def test_a_line_of_onednn(line, kind, milliseconds):
    assert parse_line(line) == (kind, milliseconds)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a step took 3 ms, exec, cpu, convolution",
        "dnnl_verbose,info,cpu,runtime:threadpool",
        "dnnl_verbose,create:cache_hit,cpu,convolution,gemm:jit,forward_training,x,,y,mb1_ic3oc16,0.1",
        "onednn_verbose,v1,primitive,info,template:operation,engine,primitive,implementation,prop_kind,exec_time",
        "dnnl_verbose,exec,cpu,convolution,gemm:jit,forward_tr",  # cut off
    ],
)
def test_other_lines_are_passed_over(line):
    assert parse_line(line) is None


def test_times_of_a_kind_add_up():
    first, second = (V2.format("forward_training", shape, "2.5") for shape in ("mb1_ic3oc16_", "mb1_g3ic3oc6_"))
    totals = sum_by_kind([first, "noise", second, first])
    assert totals == {"dense convolution, forward": 5.0, "grouped convolution, forward": 2.5}


class Stack(nn.Cell):
    """Two convolutions, the second one in two groups, and one that runs only if asked to."""

    def __init__(self, use_last: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, pad_mode="pad", padding=1, has_bias=True)
        self.second = nn.Conv2d(4, 6, 1, group=2)
        self.last = nn.Conv2d(6, 1, 1)
        self.use_last = use_last

    def construct(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))
        return self.last(x) if self.use_last else x


@pytest.mark.usefixtures("pynative")
def test_multiply_adds_by_hand():
    image = Tensor(np.zeros((2, 3, 8, 10), np.float32))
    # 2 images, 4x5 positions: 4*3*9 weights, 6*2 weights (two inputs a group), 6 weights
    assert mindspore_work.count_macs(Stack(use_last=True), image) == 2 * 20 * (108 + 12 + 6)


@pytest.mark.usefixtures("pynative")
def test_a_convolution_that_does_not_run_is_not_forgotten():
    with pytest.raises(RuntimeError, match="did not run: last"):
        mindspore_work.count_macs(Stack(use_last=False), Tensor(np.zeros((1, 3, 8, 8), np.float32)))


def macs_on_paper(pixels: int, *, aux_heads: bool) -> int:
    """Add up the layers as the paper lists them: inputs a group, outputs, kernel side, log2 of the output's stride."""
    detail = [
        (3, 64, 3, 1),
        (64, 64, 3, 1),
        (64, 64, 3, 2),
        (64, 64, 3, 2),
        (64, 64, 3, 2),
        (64, 128, 3, 3),
        (128, 128, 3, 3),
        (128, 128, 3, 3),
    ]
    stem = [(3, 16, 3, 1), (16, 8, 1, 1), (8, 16, 3, 2), (32, 16, 3, 2)]
    semantic = []
    for inputs, outputs, stride, repeats in ((16, 32, 3, 1), (32, 64, 4, 1), (64, 128, 5, 3)):
        wide = 6 * inputs
        semantic += [
            (inputs, inputs, 3, stride - 1),
            (1, wide, 3, stride),
            (1, wide, 3, stride),
            (wide, outputs, 1, stride),
            (1, inputs, 3, stride),
            (inputs, outputs, 1, stride),
        ]
        semantic += repeats * [
            (outputs, outputs, 3, stride),
            (1, 6 * outputs, 3, stride),
            (6 * outputs, outputs, 1, stride),
        ]
    embedding = [(128, 128, 3, 5)]
    aggregation = [
        (1, 128, 3, 3),
        (128, 128, 1, 3),
        (128, 128, 3, 4),
        (128, 128, 3, 5),
        (1, 128, 3, 5),
        (128, 128, 1, 5),
        (128, 128, 3, 3),
    ]
    head = [(128, 1024, 3, 3), (1024, 19, 1, 3)]
    layers = [*detail, *stem, *semantic, *embedding, *aggregation, *head]
    for inputs, stride in ((16, 2), (32, 3), (64, 4), (128, 5)) if aux_heads else ():
        middle = 4**stride  # the head's factor squared, at half its stride
        layers += [(inputs, 128, 3, stride), (128, middle, 3, stride - 1), (middle, 19, 1, stride - 1)]
    pooled = 128 * 128  # the 1x1 convolution behind the global average has one position
    return pooled + sum(i * o * k * k * pixels // 4**stride for i, o, k, stride in layers)


@pytest.mark.usefixtures("pynative")
@pytest.mark.parametrize("aux_heads", [False, True])
def test_multiply_adds_of_the_network(aux_heads):
    count = mindspore_work.model(parse_config(["--device_target", "CPU"], "train"))["count"]
    counted = count((1, 3, 64, 96), aux_heads)
    assert counted["macs"] == macs_on_paper(64 * 96, aux_heads=aux_heads)
    assert counted["parameters"] == (5_231_487 if aux_heads else 3_358_627)


def test_multiply_adds_equal_those_of_pytorch():
    settings = sections.Settings(sizes=((64, 96),), torch_python=torch_python())
    rows = [row for row in sections.count_model(settings) if row["framework"] == "PyTorch"]
    expected = [macs_on_paper(64 * 96, aux_heads=aux_heads) for aux_heads in (False, True)]
    assert [row["macs"] for row in rows] == expected


CHILD = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from tools.benchmark.worker import serve, step_commands
from src.base.errors import UserError
from src.base.memory import peak_memory_mb

LINE = {V2.format("forward_training", "mb1_ic3oc16_", "2.5")!r}
kept = []

def refuse():
    raise UserError("mend this")

def build(word):
    print("chatter on standard output")
    return {{"word": word}}, {{
        "eat": lambda: kept.append(bytearray(os.urandom(1)) * 150_000_000) or {{}},
        "refuse": refuse,
        "die": lambda: 1 / 0,
        **step_commands(lambda: os.write(1, (LINE + "\\n").encode())),
    }}

serve(build)
"""


@pytest.fixture
def worker():
    with Worker([sys.executable, "-c", CHILD], {"word": "Grüße"}) as worker:
        yield worker


def test_a_child_answers_whatever_libraries_print(worker):
    assert worker.built == {"word": "Grüße"}
    assert len(worker.ask("run", times=3)["ms"]) == 3
    assert worker.start_seconds > 0


def test_a_child_reads_what_onednn_printed_in_each_step(worker):
    steps = worker.ask("profile", times=2)["steps"]
    assert [step["kinds"] for step in steps] == 2 * [{"dense convolution, forward": 2.5}]
    assert all(step["ms"] > 0 for step in steps)


def test_peak_memory_is_the_childs_own(worker):
    ballast = np.ones(300_000_000, np.uint8)  # of this process, must not count
    before = worker.ask("peak")["peak_mb"]
    worker.ask("eat")
    assert 140 < worker.ask("peak")["peak_mb"] - before < 200
    assert before < 300
    assert peak_memory_mb() > ballast.nbytes / 1e6


def test_a_childs_complaint_to_the_user_arrives_as_one_and_the_child_lives_on(worker):
    with pytest.raises(UserError, match="^mend this$"):
        worker.ask("refuse")
    assert worker.ask("run", times=1)["ms"]


def test_a_child_that_dies_is_reported_with_its_last_words(worker):
    with pytest.raises(RuntimeError, match=r"(?s)'die' failed.*exit code 1.*ZeroDivisionError"):
        worker.ask("die")


def test_the_childs_process_is_gone_afterwards(worker):
    worker.close()
    assert worker.process.returncode == 0


def test_what_is_measured_has_the_settings_of_a_training(monkeypatch):
    """They follow the device, whose execution level and precision they are."""
    done = []
    device = types.SimpleNamespace(device_target="Ascend")
    monkeypatch.setattr(mindspore_work, "init_device", lambda *_: done.append("device") or device)
    monkeypatch.setattr(
        mindspore_work, "apply_settings", lambda config, target: done.append((config.jit_level, target))
    )
    monkeypatch.setitem(mindspore_work.WORK, "nothing", lambda config: {})
    found, _ = mindspore_work.build(kind="nothing", config=["--jit_level", "O1"])
    assert done == ["device", ("O1", "Ascend")]
    assert found == {"device_target": "Ascend"}
