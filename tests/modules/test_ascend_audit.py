"""What an Ascend would get: every primitive documented for it, and none of the forms that are known to fail there.

The graphs are those of an Ascend (see ascend_graphs.py); what MindSpore documents is in
golden/operator_platforms.json, made by golden/make_platforms.py with MindSpore 2.0.0 and 2.10.0; which operators run
on the chip's AI CPU alone is in golden/ai_cpu_operators.json, see golden/make_ai_cpu.py.
"""

from __future__ import annotations

import json
import math

import mindspore as ms
import pytest
from mindspore import nn

from src.modules.bisenetv2 import BiSeNetV2
from src.utils.local_adapter import mindspore_version
from tests import ascend_graphs
from tests.golden import make_platforms
from tests.run_helpers import ROOT

PLATFORMS = json.loads((ROOT / "tests" / "golden" / "operator_platforms.json").read_text(encoding="utf-8"))
AI_CPU = json.loads((ROOT / "tests" / "golden" / "ai_cpu_operators.json").read_text(encoding="utf-8"))
SMALL = 4096  # elements that an AI CPU may compute: less than a picture, more than the channels of a layer
OLDEST, NEWEST = "2.0.0", "2.10.0"
TRAINING = ("--mix", "True", "--clip_grad_norm", "5")
BETWEEN_RANKS = {"AllReduce"}  # joins several devices; a graph of one device has it not
BATCH_NORM = ("BatchNorm", "BatchNormGrad", "SyncBatchNorm", "SyncBatchNormGrad")
WIDE = {"float", "int32", "int64", "bool"}  # what the loss may hold: no float16
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def training(tmp_path_factory) -> list[ascend_graphs.Node]:
    """The training step in mixed precision on several Ascends that saturate."""
    ms.set_context(mode=ms.GRAPH_MODE)
    with ascend_graphs.on_ascend():
        model = ascend_graphs.training_model(tmp_path_factory.mktemp("ascend"), *TRAINING, sync_bn=True)
    label = next(value for value in model.graph.input if value.name.endswith("label"))
    assert ascend_graphs.DTYPES[label.tensor[0].data_type] == "int32"
    return ascend_graphs.nodes_of(model)


@pytest.fixture(scope="module")
def other_trainings(tmp_path_factory) -> list[ascend_graphs.Node]:
    """The same in float32, with plain batch normalisation, the other upsampling and repeated channels."""
    options = ("net_args.inner_upsample=nearest", "net_args.depthwise_expand=repeat", "net_args.dropout=0.1")
    with ascend_graphs.on_ascend():
        return ascend_graphs.nodes_of(ascend_graphs.training_model(tmp_path_factory.mktemp("other"), *options))


@pytest.fixture(scope="module")
def ohem_training(tmp_path_factory) -> list[ascend_graphs.Node]:
    """The training step in mixed precision over the hard pixels."""
    with ascend_graphs.on_ascend():
        model = ascend_graphs.training_model(tmp_path_factory.mktemp("ohem"), *TRAINING, "loss.type=ohem")
    return ascend_graphs.nodes_of(model)


class FiveHeads(nn.Cell):
    """The smallest network with as many heads as the configuration has weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 19, 1)

    def construct(self, image: ms.Tensor) -> tuple[ms.Tensor, ...]:
        logits = self.conv(image)
        return logits, logits, logits, logits, logits


@pytest.fixture(scope="module")
def cpu_training(tmp_path_factory) -> list[ascend_graphs.Node]:
    """The training step on the CPU: what is asked of it does not depend on the network."""
    folder = tmp_path_factory.mktemp("cpu")
    return ascend_graphs.nodes_of(ascend_graphs.training_model(folder, *TRAINING, network=FiveHeads()))


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> list[ascend_graphs.Node]:
    """The exported MindIRs: either output, either input, and the variants of the network."""
    folder, found = tmp_path_factory.mktemp("exports"), []
    with ascend_graphs.on_ascend():
        for output, dtype in (("argmax", "uint8"), ("logits", "float32")):  # one does not ask for the other
            found += ascend_graphs.nodes_of(ascend_graphs.exported_model(folder, output, dtype))
        options = ("net_args.inner_upsample=nearest", "net_args.depthwise_expand=repeat")
        found += ascend_graphs.nodes_of(ascend_graphs.exported_model(folder, "argmax", "float32", *options))
    return found


def primitives(*groups: list[ascend_graphs.Node]) -> set[str]:
    return {node.primitive for group in groups for node in group}


def without_ascend(names: set[str], documented: dict[str, list[str]]) -> set[str]:
    """Return the primitives that are not documented for Ascend."""
    return {name for name in names if "Ascend" not in documented.get(name, [])}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_primitive_is_documented_for_ascend(training, other_trainings, ohem_training, exports, version):
    used = primitives(training, other_trainings, ohem_training, exports) | BETWEEN_RANKS
    assert without_ascend(used, PLATFORMS[version]) == set()


def on_the_ai_cpu(nodes: list[ascend_graphs.Node]) -> set[str]:
    """Return the primitives that compute more than SMALL elements on the AI CPU of some version."""
    return {
        node.primitive
        for node in nodes
        if node.primitive in {*AI_CPU[OLDEST], *AI_CPU[NEWEST]} and not node.constant
        if any(math.prod(shape) > SMALL for _, shape in node.outputs)
    }


def test_nothing_large_is_computed_on_the_ai_cpu(training, other_trainings, ohem_training, exports):
    nodes = [*training, *other_trainings, *ohem_training, *exports]
    assert on_the_ai_cpu(nodes) == set()
    assert {name for name in primitives(nodes) if name.startswith("GatherD")} == set()
    assert {node.constant for node in nodes} == {True, False}


def test_a_loss_that_gathers_is_found(cpu_training):
    """The CPU's own form, with an index for every pixel."""
    assert "GatherD" in on_the_ai_cpu(cpu_training)


def test_an_operator_without_ascend_is_found():
    names = {"ReLU", "FloatStatus", "NoSuchThing"}
    documented = {name: make_platforms.platforms(name) for name in names}
    assert without_ascend(names, documented) == {"FloatStatus", "NoSuchThing"}


def test_the_installed_version_documents_what_is_recorded():
    version = ".".join(map(str, mindspore_version()))
    if version not in PLATFORMS:
        version = NEWEST  # nothing was taken back since
    changed = {name: make_platforms.platforms(name) for name in PLATFORMS[version]}
    assert without_ascend(set(changed), changed) == set()
    if mindspore_version() == tuple(map(int, version.split("."))):
        assert changed == PLATFORMS[version]


def test_no_pooling_is_three_dimensional_and_no_shape_is_dynamic(training, other_trainings, ohem_training, exports):
    """Padded pools become 3-D operators in MindSpore, which the Ascend 910 has not."""
    nodes = [*training, *other_trainings, *ohem_training, *exports]
    assert {node.primitive for node in nodes if "3D" in node.primitive or "Adaptive" in node.primitive} == set()
    shapes = [shape for node in nodes for _, shape in node.outputs]
    assert len(shapes) > 3000
    assert all(size > 0 for shape in shapes for size in shape)


def test_mixed_precision_keeps_normalisation_and_loss_in_float32(training, ohem_training):
    """SyncBatchNorm included, which MindSpore's own mixed precision casts to float16."""
    norms = [node for node in training if node.primitive in BATCH_NORM]
    assert {node.primitive for node in norms} == {"SyncBatchNorm", "SyncBatchNormGrad"}
    assert {dtype for node in norms for dtype, _ in node.outputs} == {"float"}
    for nodes, more in ((training, set()), (ohem_training, {"Greater", "Minimum", "ReduceSum"})):
        loss = [node for node in nodes if "CrossEntropy" in node.scope]
        assert {"Exp", "Log", "ReduceMax"} | more <= primitives(loss)
        assert {dtype for node in loss for dtype, _ in node.outputs} <= WIDE
    convolutions = [dtype for node in training if node.primitive == "Conv2D" for dtype, _ in node.outputs]
    assert convolutions.count("float16") == len(convolutions) - 1  # all but the constant one that averages


def test_overflow_is_read_from_the_register_where_the_chip_saturates(training, cpu_training):
    names = [node.primitive for node in training]
    assert names.count("NPUClearFloatStatusV2") == names.count("NPUGetFloatStatusV2") == 1
    assert {name for name in primitives(cpu_training) if name.startswith("NPU")} == set()
    assert "IsFinite" in primitives(cpu_training)


def test_repeated_channels_leave_true_depthwise_convolutions_only():
    """MindSpore documents group > 1 on Ascend for in = out = group alone."""
    for mode, others in (("repeat", 0), ("grouped", 8)):
        network = BiSeNetV2(19, depthwise_expand=mode)
        grouped = [cell for _, cell in network.cells_and_names() if isinstance(cell, nn.Conv2d) and cell.group > 1]
        wrong = [cell for cell in grouped if not cell.in_channels == cell.out_channels == cell.group]
        assert (len(grouped) > 10, len(wrong)) == (True, others)


def table(training: set[str], exports: set[str]) -> list[str]:
    """Return the rows of the table in docs/ascend.md."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name in sorted(training | exports):
        where = {(True, True): "training, export", (True, False): "training", (False, True): "export"}
        documented = [", ".join(PLATFORMS[version][name]) for version in (OLDEST, NEWEST)]
        rows.setdefault((where[name in training, name in exports], *documented), []).append(name)
    return [f"| {' | '.join(key)} | {', '.join(names)} |" for key, names in sorted(rows.items())]


@pytest.mark.skipif(mindspore_version() != (2, 8, 0), reason="docs/ascend.md shows the graphs of the pinned version")
@pytest.mark.parametrize("name", ["docs/ascend.md", "docs/zh/ascend.md"])
def test_the_readme_shows_the_audit(training, other_trainings, ohem_training, exports, name):
    expected = table(primitives(training, other_trainings, ohem_training) | BETWEEN_RANKS, primitives(exports))
    if name == "docs/zh/ascend.md":
        expected = [
            row.replace("training, export", "训练、导出").replace("| training |", "| 训练 |") for row in expected
        ]
        expected = [row.replace("| export |", "| 导出 |") for row in expected]
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "\n".join(expected) in text, "\n".join(expected)
