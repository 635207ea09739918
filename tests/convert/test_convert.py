"""Public PyTorch weights: equal logits, every tensor accounted for, the way back bit for bit.

PyTorch has an environment of its own, which scripts/run_tests.sh makes; the networks there are written for the tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from scripts import convert_torch_checkpoint
from src.base.errors import UserError
from src.convert.families import FAMILIES
from src.modules.bisenetv2 import BiSeNetV2
from src.modules.factory import create_network
from src.state import checkpoint
from src.utils import config
from tests import runner_helpers
from tests.golden.seeded import seeded_image
from tests.run_helpers import ROOT, run_script

SCRIPT = "scripts/convert_torch_checkpoint.py"
SEEDS = {"bisenet": 0, "mmseg": 1}
SIZES = ((128, 256), (512, 1024))
MINE = {"bisenet": (0.3257, 0.3690, 0.3223), "mmseg": (0.485, 0.456, 0.406)}
pytestmark = [pytest.mark.slow, pytest.mark.once]


@pytest.fixture(scope="module")
def torch_python() -> str:
    return runner_helpers.torch_python()


@pytest.fixture(scope="module")
def published(tmp_path_factory, torch_python) -> Path:
    """A folder of weights as they are published, and of the logits they give."""
    folder = tmp_path_factory.mktemp("published")
    work(torch_python, "make", folder)
    return folder


def work(python: str, *arguments: object) -> None:
    command = [python, str(ROOT / "tests" / "torch_work.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def words(python: str, source: Path, output: Path, *more: object) -> list[str]:
    return list(map(str, ("--torch_file", source, "--output", output, "--torch_python", python, *more)))


def convert(*arguments: object) -> None:
    """Convert within this process, which spares MindSpore's start; `arguments` are those of `words`."""
    assert convert_torch_checkpoint.main(words(*arguments)) == 0


@pytest.fixture(scope="module", params=["bisenet", "mmseg"])
def converted(request, published, torch_python, tmp_path_factory) -> tuple[str, Path]:
    output = tmp_path_factory.mktemp(request.param) / "weights.ckpt"
    done = run_script(SCRIPT, *words(torch_python, published / f"{request.param}.pth", output), cwd="/")
    used = {"bisenet": 321, "mmseg": 275}[request.param]
    assert f"{request.param} weights, {used} tensors used" in done.stdout
    assert "tensors *.num_batches_tracked (counts of batches" in done.stdout
    assert ("1 tensors auxiliary_head.* (" in done.stdout) == (request.param == "mmseg")
    return request.param, output


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_logits_are_pytorchs(converted, published, size):
    family, path = converted
    recipe = config.parse_config(["--config", str(path.with_suffix(".yml"))], "eval")
    network = create_network(recipe, aux_heads=False)
    checkpoint.restore_network(network, checkpoint.read_checkpoint(path), path)
    network.set_train(False)
    logits = network(Tensor(seeded_image((1, 3, *size), SEEDS[family]))).asnumpy()
    with np.load(published / f"{family}.npz") as archive:
        expected = archive["x".join(map(str, size))]
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_configuration_tells_the_normalisation(converted):
    family, path = converted
    recipe = config.parse_config(["--config", str(path.with_suffix(".yml"))], "train")
    for transforms in (recipe.data.train_transforms, recipe.data.eval_transforms):
        assert transforms.item_transforms[-2].mean == MINE[family]
    assert (recipe.data.name, recipe.num_classes) == ("cityscapes", 19)


def test_the_way_back_is_exact(converted, published, torch_python, tmp_path):
    """To PyTorch, which loads every tensor, and here again; bit for bit."""
    family, path = converted
    back, again = tmp_path / "back.pth", tmp_path / "again.ckpt"
    reverse = ["--reverse", "--checkpoint_path", path, "--output", back, "--torch_python", torch_python]
    assert convert_torch_checkpoint.main(list(map(str, reverse))) == 0
    work(torch_python, "strict", back, family, 19)
    code = (
        "import sys, torch; a, b = (torch.load(f, weights_only=True) for f in sys.argv[1:]);"
        "a = a.get('state_dict', a); assert all(torch.equal(b[n], a[n]) for n in b); print(len(b))"
    )
    command = [torch_python, "-c", code, str(published / f"{family}.pth"), str(back)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == {"bisenet": "321", "mmseg": "275"}[family], done.stderr
    convert(torch_python, back, again)
    one, two = checkpoint.read_checkpoint(path), checkpoint.read_checkpoint(again)
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_other_wrappings_and_class_counts(published, torch_python, tmp_path):
    """In a state_dict with the prefix of data-parallel training; in float16 without auxiliary heads; named classes."""
    convert(torch_python, published / "bisenet_wrapped.pth", tmp_path / "wrapped.ckpt")
    whole = checkpoint.read_checkpoint(tmp_path / "wrapped.ckpt")
    assert len(whole) == 321
    recipe = config.parse_config(["--config", str(tmp_path / "wrapped.yml")], "train")
    assert (recipe.num_classes, recipe.data.name, recipe.data.map_label) == (3, "generic", None)
    convert(torch_python, published / "bisenet_no_aux.pth", tmp_path / "bare.ckpt", "--source", "bisenet")
    bare = checkpoint.read_checkpoint(tmp_path / "bare.ckpt")
    assert bare.keys() == {name for name in whole if not name.startswith("aux")}
    for name, value in bare.items():
        assert np.array_equal(value, whole[name].astype(np.float16).astype(np.float32)), name
    convert(torch_python, published / "mmseg_own.pth", tmp_path / "own.ckpt")
    recipe = config.parse_config(["--config", str(tmp_path / "own.yml")], "train")
    assert recipe.data.class_names == ("road", "path", "rest")


WRONG = [
    (
        "unsafe.pth",
        [],
        "holds more than tensors and plain values (fractions.Fraction), which is not loaded, for safety",
    ),
    ("other.pth", [], "holds no BiSeNetV2 of a known implementation, e.g. a; known: bisenet, mmseg"),
    ("nothing.pth", [], "holds no tensors by name"),
    ("text.pth", [], "is text, not a PyTorch file"),
    ("gone.pth", [], "no such file"),
    ("mmseg_own.pth", ["--source", "bisenet"], "holds weights of mmseg"),
    ("broken.pth", [], "2 missing, e.g. bga.left1.0.weight; 1 unknown, e.g. extra.weight"),
]


@pytest.mark.parametrize(("name", "options", "message"), WRONG, ids=[entry[0] for entry in WRONG])
def test_wrong_files_are_told(published, torch_python, tmp_path, name, options, message):
    (published / "text.pth").write_text("no weights\n", encoding="utf-8")
    given = words(torch_python, published / name, tmp_path / "out.ckpt", *options)
    with pytest.raises(UserError, match=re.escape(message)):
        convert_torch_checkpoint.main(given)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_torch_is_asked_for(published, torch_python, tmp_path):
    (tmp_path / "own.yml").write_text("mine\n", encoding="utf-8")
    source = published / "mmseg_own.pth"
    done = run_script(SCRIPT, *words(torch_python, source, tmp_path / "own.ckpt"), check=False)
    assert (done.returncode, "own.yml is there already" in done.stderr) == (2, True)
    assert (tmp_path / "own.yml").read_text(encoding="utf-8") == "mine\n"
    done = run_script(SCRIPT, *words(sys.executable, source, tmp_path / "other.ckpt"), check=False)
    assert done.returncode == 2
    assert "pip install -r requirements/torch.txt" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_shapes_are_those_of_released_weights(family):
    """The lists in tests/golden were read off the files that the two projects have released."""
    lines = (ROOT / "tests" / "golden" / f"{family}_parameters.tsv").read_text(encoding="utf-8").splitlines()
    listed = dict(line.split("\t")[:2] for line in lines)
    chosen = FAMILIES[family]
    network = BiSeNetV2(19, aux_heads=chosen.auxiliary, bga_pointwise_bias=chosen.pointwise_bias)
    own = {chosen.torch_name(p.name): "x".join(map(str, p.shape)) for p in network.get_parameters()}
    assert own == listed
