"""What MindIR files say of themselves, and damaged ones."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.train import mind_ir_pb2

from src.offline.mindir import MindIRError, MindIRModel, read_mindir_info
from tests.run_helpers import ROOT

TINY = ROOT / "tests" / "golden" / "tiny_2_0_0.mindir"  # written by MindSpore 2.0.0, see make_mindir.py


def change(target, edit):
    """Write the tiny model to `target` after `edit` has changed its message."""
    model = mind_ir_pb2.ModelProto()
    model.ParseFromString(TINY.read_bytes())
    edit(model)
    target.write_bytes(model.SerializeToString())
    return target


def test_a_file_of_the_oldest_version_is_described():
    info = read_mindir_info(TINY)
    assert (info.mindspore, info.mindir_version) == ("2.0.0", 1)
    (image,), (result,) = info.inputs, info.outputs
    assert (image.shape, image.dtype, image.num_bytes) == ((1, 3, 8, 8), "float32", 4 * 3 * 64)
    assert (result.shape, result.dtype) == ((1, 2, 8, 8), "float32")


def test_a_file_of_the_oldest_version_runs():
    ms.set_context(mode=ms.GRAPH_MODE)
    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8), dtype=np.float32)
    padded = np.pad(image[0].sum(axis=0), 1)  # all weights are 1
    sums = sum(padded[i : i + 8, j : j + 8] for i in range(3) for j in range(3))
    np.testing.assert_allclose(MindIRModel(TINY)(image)[0, 1], np.maximum(sums, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.995])
def test_a_truncated_file_is_refused(tmp_path, share):
    data = TINY.read_bytes()
    cut = tmp_path / "cut.mindir"
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(MindIRError, match=r"cut\.mindir: ((damaged or )?truncated, or no MindIR|the file is empty)"):
        MindIRModel(cut)


def test_a_file_that_ends_between_two_fields_is_refused(tmp_path):
    cut = change(tmp_path / "cut.mindir", lambda model: model.ClearField("mind_ir_version"))
    with pytest.raises(MindIRError, match="truncated, or no MindIR of MindSpore 2.0 or later"):
        MindIRModel(cut)


def test_tensors_of_another_kind_are_refused(tmp_path):
    def to_int8(model):
        model.graph.input[0].tensor[0].data_type = 3

    def to_dynamic(model):
        model.graph.input[0].tensor[0].dims[0] = -1

    for edit in (to_int8, to_dynamic):
        with pytest.raises(MindIRError, match=r"has data type \d+, shape \[-?1, 3, 8, 8\]; export the model with"):
            read_mindir_info(change(tmp_path / "other.mindir", edit))


def test_a_newer_format_is_refused_by_name(tmp_path):
    newer = change(tmp_path / "newer.mindir", lambda model: setattr(model, "mind_ir_version", 99))
    with pytest.raises(MindIRError, match=r"MindIR format 99, written by MindSpore 2\.0\.0, but MindSpore .* no newer"):
        MindIRModel(newer)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MindIRError, match="no such model: .*missing.mindir"):
        MindIRModel(tmp_path / "missing.mindir")
    with pytest.raises(MindIRError, match="cannot read the model .*: Is a directory"):
        MindIRModel(tmp_path)
    text = tmp_path / "text.mindir"
    text.write_text("this is no model\n" * 100)
    with pytest.raises(MindIRError, match="text.mindir: is text, not a MindIR"):
        MindIRModel(text)


def test_a_model_with_two_inputs_is_refused(tmp_path):
    class Sum(nn.Cell):
        def construct(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b

    ms.set_context(mode=ms.GRAPH_MODE)
    zeros = Tensor(np.zeros((1, 3), np.float32))
    ms.export(Sum(), zeros, zeros, file_name=str(tmp_path / "sum"), file_format="MINDIR")
    with pytest.raises(MindIRError, match="has 2 inputs, expected one; export it with export.py"):
        MindIRModel(tmp_path / "sum.mindir")
