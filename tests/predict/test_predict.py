"""From an image of any size to its class map: geometry, networks, models, palettes and names."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.base.errors import ConfigError, DataError, UserError
from src.data.transforms.common import Normalize, TransposeImage
from src.data.transforms.resize import Resize
from src.data.transforms_factory import Compose
from src.modules.base_modules import MultiScaleInfer
from src.modules.bisenetv2 import BiSeNetV2
from src.predict.inputs import check_output, list_inputs
from src.predict.outputs import ImageWriter
from src.predict.palette import read_palette
from src.predict.predictor import PadToMultiple, Predictor, RunNetwork, checkpoint_predictor, model_predictor
from src.predict.settings import load_settings
from tests.dataset_helpers import MEAN, STD
from tests.golden_weights import load_seeded
from tests.offline_helpers import SIZE, export

RATIOS = [0.75, 1.0]


@pytest.fixture(scope="module")
def network() -> BiSeNetV2:
    """The network of `weights`, made in another way."""
    ms.set_context(mode=ms.GRAPH_MODE)
    network = BiSeNetV2(19, aux_heads=False)
    load_seeded(network)
    return network.set_train(False)


def settings(model: Path, *keys: str, config: Path | None = None, multi_scale: bool = False, flip: bool = False):
    keys = [f"data.eval_transforms.img_ratios={RATIOS}", *keys]
    return load_settings(model, config, multi_scale=multi_scale, flip=flip, device_target="CPU", keys=keys)


def photograph(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Draw blocks of colour with noise, so that several classes come out."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (-(-size[0] // 16), -(-size[1] // 16), 3)).repeat(16, 0).repeat(16, 1)
    noisy = blocks[: size[0], : size[1]] + rng.integers(-20, 21, (*size, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def padded_input(image: np.ndarray) -> np.ndarray:
    """Pad with black to multiples of 32 and normalise, (1, 3, H, W) float32."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 32), (0, -width % 32), (0, 0)))
    return ((padded / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize("size", [(75, 100), (20, 33)])
def test_the_class_map_is_that_of_the_padded_image_cut_back(weights, network, size):
    image = photograph(1, size)
    found = checkpoint_predictor(settings(weights), weights, None)(image)
    logits = network(Tensor(padded_input(image))).asnumpy()[0]
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert len(np.unique(found)) > 1
    np.testing.assert_array_equal(found, logits.argmax(axis=0)[: size[0], : size[1]])


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize(("multi_scale", "flip"), [(True, True), (False, True)])
def test_scales_and_mirroring_are_those_of_the_evaluation(weights, network, multi_scale, flip):
    image = photograph(2, (75, 100))
    config = settings(weights, multi_scale=multi_scale, flip=flip)
    found = checkpoint_predictor(config, weights, None)(image)
    infer = MultiScaleInfer(network, RATIOS if multi_scale else [1.0], flip)
    expected = infer(Tensor(padded_input(image))).asnumpy()[0, :75, :100]
    np.testing.assert_array_equal(found, expected)
    plain = network(Tensor(padded_input(image))).asnumpy()[0].argmax(axis=0)[:75, :100]
    assert (found != plain).any()


def test_another_size_fits_the_image_and_brings_the_map_back(weights):
    """50x150 into 64x96: times 0.64 to 32x96, so row y of the result is row floor(y * 32 / 50) of the network's."""
    predictor, seen = checkpoint_predictor(settings(weights), weights, (64, 96)), []
    rows = np.arange(64).repeat(96).reshape(64, 96)

    def classify(array):
        seen.append(array)
        return rows % 19

    predictor.classify = classify
    image = photograph(3, (50, 150))
    expected = (np.arange(50) * 32 // 50 % 19).repeat(150).reshape(50, 150)
    np.testing.assert_array_equal(predictor(image), expected)
    (array,) = seen
    fitted = cv2.resize(image, (96, 32), interpolation=cv2.INTER_LINEAR)
    picture = np.pad(fitted, ((0, 32), (0, 0), (0, 0)))
    np.testing.assert_allclose(array[0], ((picture / 255 - MEAN) / STD).transpose(2, 0, 1), atol=1e-6)


def test_logits_become_classes_and_nonsense_is_refused():
    logits = np.random.default_rng(4).standard_normal((3, 32, 32), dtype=np.float32)
    predictor = Predictor(Compose([PadToMultiple()]), lambda array: logits, num_classes=3)
    image = np.zeros((5, 1, 3), np.uint8)
    np.testing.assert_array_equal(predictor(image), logits.argmax(axis=0)[:5, :1])
    predictor = Predictor(Compose([Resize((32, 32))]), lambda array: np.full((32, 32), 3), num_classes=3)
    with pytest.raises(UserError, match=r"the model returns classes 3\.\.3, expected 0\.\.2"):
        predictor(image)


class Brightest(nn.Cell):
    """Channel with the largest value: (N, 3, H, W) to (N, H, W)."""

    def construct(self, image: Tensor) -> Tensor:
        return ops.argmax(image, 1)


def test_images_of_one_padded_size_share_a_graph(caplog):
    """Seven sizes, but five for the network; the fifth brings the hint."""
    caplog.set_level(logging.INFO)
    ms.set_context(mode=ms.GRAPH_MODE)
    infer = Brightest()
    transforms = Compose([PadToMultiple(), Normalize(), TransposeImage()])
    predictor = Predictor(transforms, RunNetwork(infer), num_classes=3)
    for size in ((33, 60), (64, 64), (40, 40), (32, 32), (32, 64), (96, 32), (1, 100)):
        predictor(photograph(0, size))
    lines = [message for message in caplog.messages if message.startswith("input ")]
    assert [line.split()[1] for line in lines] == ["64x64", "32x32", "32x64", "96x32"]
    assert sum("--image_size H W runs all images at one size" in message for message in caplog.messages) == 1
    assert len(infer.compile_cache) == 5


def prediction_of_both(model: Path, weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its class map by an exported model, after a check that its checkpoint predicts the same."""
    image = photograph(5, (50, 150))
    expected = checkpoint_predictor(settings(weights), weights, SIZE)(image)
    found = model_predictor(settings(model), model)(image)
    assert (found.shape, found.dtype) == ((50, 150), np.uint8)
    assert (found != expected).mean() < 1e-3  # the order of sums may differ
    assert len(np.unique(found)) > 1
    return image, found


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--input", "uint8", "--output", "logits"], ["--input", "float32"]])
def test_an_exported_model_predicts_what_its_checkpoint_does(weights, tmp_path, options, caplog):
    model = export(weights, tmp_path / "model", "--fold_bn", "False", *options)
    image, found = prediction_of_both(model, weights)
    with pytest.raises(
        ConfigError, match="num_classes is 3, but .*model.json says that the model has 19; give .* with --config"
    ):
        model_predictor(settings(model, "num_classes=3", "data.name=generic", "data.map_label=null"), model)
    description = model.with_suffix(".json")
    description.unlink()
    np.testing.assert_array_equal(model_predictor(settings(model), model)(image), found)
    assert f"no {description} beside the model" in caplog.text


@pytest.mark.slow
def test_an_onnx_predicts_what_its_checkpoint_does(weights, tmp_path, caplog):
    model = export(weights, tmp_path / "model", "--file_format", "ONNX", "--input", "uint8")
    image, found = prediction_of_both(model, weights)
    other = settings(model, "num_classes=3", "data.name=generic", "data.map_label=null")
    with pytest.raises(ConfigError, match=r"num_classes is 3, but .*model\.onnx\.json says that the model has 19"):
        model_predictor(other, model)
    model.with_name("model.onnx.json").unlink()  # the file itself says it, too
    np.testing.assert_array_equal(model_predictor(settings(model), model)(image), found)
    with pytest.raises(ConfigError, match=r"num_classes is 3, but .*model\.onnx says that the model has 19"):
        model_predictor(other, model)
    assert "beside the model" not in caplog.text
    with pytest.raises(ConfigError, match=r"a \.onnx does not run on Ascend; bash scripts/convert_to_lite\.sh"):
        model_predictor(settings(model, "--device_target", "Ascend"), model)


def test_the_configuration_beside_the_model_is_used_unless_another_is_given(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    model = tmp_path / "own.ckpt"
    model.touch()
    base = Path(__file__).resolve().parents[2] / "config" / "bisenetv2_cityscapes.yml"
    text = f"__BASE__: {base}\nnum_classes: 3\ndata: {{name: generic, map_label: null, class_names: [a, b, c]}}\n"
    (tmp_path / "other.yml").write_text(text.replace("[a, b, c]", "[d, e, f]"), encoding="utf-8")
    assert settings(model).num_classes == 19
    assert not caplog.messages
    (tmp_path / "own.yml").write_text(text, encoding="utf-8")
    assert settings(model).data.class_names == ("a", "b", "c")
    assert caplog.messages == [f"configuration: {tmp_path}/own.yml, which lies beside the model"]
    assert settings(model, config=tmp_path / "other.yml").data.class_names == ("d", "e", "f")
    assert settings(model, "data.class_names=[g,h,i]").data.class_names == ("g", "h", "i")
    with pytest.raises(ConfigError, match="is a folder; name the checkpoint or the model in it"):
        settings(tmp_path)
    with pytest.raises(ConfigError, match=r"no such checkpoint: .*gone\.ckpt"):
        settings(tmp_path / "gone.ckpt")
    with pytest.raises(ConfigError, match=r"no such model: .*gone\.mindir"):
        settings(tmp_path / "gone.mindir")


def test_a_job_of_several_processes_is_refused(tmp_path, monkeypatch):
    (tmp_path / "own.ckpt").touch()
    for name, value in {"OMPI_COMM_WORLD_SIZE": 2, "OMPI_COMM_WORLD_RANK": 0}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "0")
    with pytest.raises(ConfigError, match="runs in one process; start it without mpirun or msrun"):
        settings(tmp_path / "own.ckpt")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_images_are_found_below_a_folder_and_keep_their_places(tmp_path):
    touch(tmp_path, "b/x.png", "a/x.JPG", "a/x.png", "a/y.z.tif", "a/notes.txt", "a/.hidden.png", ".git/x.png", "c.mp4")
    (tmp_path / "folder.png").mkdir()
    files = list_inputs(tmp_path)
    assert [os.path.relpath(file.path, tmp_path) for file in files] == ["a/x.JPG", "a/x.png", "a/y.z.tif", "b/x.png"]
    assert [file.name for file in files] == ["a/x.JPG.png", "a/x.png.png", "a/y.z.png", "b/x.png"]
    assert list_inputs(tmp_path / "c.mp4") == []
    assert list_inputs(tmp_path / "a" / "notes.txt") == [(str(tmp_path / "a" / "notes.txt"), "notes.png")]


def test_results_of_one_name_are_refused(tmp_path):
    """cat.jpg and cat.png become cat.jpg.png and cat.png.png; the former is the result of cat.jpg.bmp as well."""
    touch(tmp_path, "cat.jpg", "cat.png", "cat.jpg.bmp")
    with pytest.raises(DataError, match=r"cat.jpg.bmp and cat.jpg would both be called cat.jpg.png in the results"):
        list_inputs(tmp_path)


def test_inputs_that_are_not_there(tmp_path):
    for name in ("gone.png", "gone.mp4", "gone"):
        with pytest.raises(DataError, match=f"--input .*{name}: no such file or folder"):
            list_inputs(tmp_path / name)
    touch(tmp_path, "notes.txt")
    with pytest.raises(DataError, match=r"holds no image \(png, jpg, jpeg, bmp, webp, tif, tiff\)"):
        list_inputs(tmp_path)


def test_folders_for_the_results(tmp_path):
    touch(tmp_path, "in/a.png", "old/class_ids/a.png")
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty", tmp_path / "in")
    check_output(tmp_path / "new" / "deep", tmp_path / "in")
    check_output(tmp_path / "in2", tmp_path / "in")
    check_output(tmp_path / "in" / "out", tmp_path / "in" / "a.png")
    for output, message in {"old": "not empty", "in/a.png": "is a file", "in/out": "lies in the input folder"}.items():
        with pytest.raises(ConfigError, match=f"--output .*: {message}"):
            check_output(tmp_path / output, tmp_path / "in")


def test_palettes_are_read_from_text_and_json(tmp_path):
    text, listed = tmp_path / "palette.txt", tmp_path / "palette.json"
    text.write_text("\ufeff# three\n255 0 0 fire truck\n\n  0\t255  0\n0 0 255   sea \n", encoding="utf-8")
    listed.write_text('[[255, 0, 0, "fire truck"], [0, 255, 0], [0, 0, 255, "sea"]]', encoding="utf-8")
    for path in (text, listed):
        colors, names = read_palette(path, ["a", "b", "c"])
        assert colors.dtype == np.uint8
        assert colors.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
        assert names == ("fire truck", "b", "sea")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "1 2 3\n", "has 1 colours, the network has 2 classes"),
        ("p.txt", "1 2 3\n4 5\n", "line 2: expected R G B, each 0..255, and perhaps a name; got '4 5'"),
        ("p.txt", "1 2 3\n\n4 5 256 x\n", "line 3: expected R G B"),
        ("p.txt", "1 2 -3\n", "line 1: expected R G B"),
        ("p.txt", "1 2.5 3\n", "line 1: expected R G B"),
        ("p.json", "{}", "expected a list of"),
        ("p.json", "[[1, 2, 3], 4]", "expected a list of"),
        ("p.json", "[[1, 2, 3", "not JSON"),
        ("p.json", "[[1, 2, true]]", "entry 0: expected R G B"),
        ("p.json", '[[1, 2, 3, "a", "b"]]', "entry 0: expected R G B"),
    ],
)
def test_palettes_that_are_none(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"--palette .*{name}.*{message}"):
        read_palette(tmp_path / name, ["a", "b"])
    with pytest.raises(ConfigError, match="gone.txt: cannot be read: No such file"):
        read_palette(tmp_path / "gone.txt", ["a", "b"])


def test_pictures_of_an_image(tmp_path):
    palette, names = np.array([[200, 0, 0], [0, 100, 0], [0, 0, 50]], np.uint8), ("one", "two", "three")
    image, class_map = np.full((40, 70, 3), 100, np.uint8), np.zeros((40, 70), np.uint8)
    class_map[:, 30:] = 2
    ImageWriter(tmp_path / "out", palette, names).write("a/b.png", image, class_map)
    ids, color, over = (
        cv2.imread(str(tmp_path / "out" / kind / "a" / "b.png"), cv2.IMREAD_UNCHANGED)
        for kind in ("class_ids", "color", "overlay")
    )
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, class_map)
    assert color[5, 5, ::-1].tolist() == [200, 0, 0]
    assert color[5, 50, ::-1].tolist() == [0, 0, 50]
    assert over.shape[1] == 640
    assert over[5, 5, ::-1].tolist() == [150, 50, 50]
    assert over[5, 50, ::-1].tolist() == [50, 50, 75]
    assert (over[:40, 70:] == 255).all()
    legend = over[40:, :, ::-1].reshape(-1, 3)
    assert {(200, 0, 0), (0, 0, 50)} <= set(map(tuple, legend.tolist()))
    assert not (legend == (0, 100, 0)).all(axis=1).any()  # absent
    assert read_palette(tmp_path / "out" / "palette.txt", names)[1] == names


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make the folder .*file/out: Not a directory"):
        ImageWriter(tmp_path / "file" / "out", np.zeros((1, 3), np.uint8), ("one",))


def test_a_checkpoint_of_other_classes_is_refused(weights):
    config = settings(weights, "num_classes=3", "data.name=generic", "data.map_label=null")
    with pytest.raises(UserError, match=r"seeded.ckpt: .* has shape \(19.*, the network needs \(3"):
        checkpoint_predictor(config, weights, None)


def test_normalisation_is_the_configured_one(weights):
    where = "data.eval_transforms.item_transforms.Normalize"
    keys = (f"{where}.is_scale=False", f"{where}.mean=[1,2,3]", f"{where}.std=[50,60,70]")
    predictor = checkpoint_predictor(settings(weights, *keys), weights, None)
    seen = []
    predictor.classify = lambda array: seen.append(array) or np.zeros((32, 32), np.int32)
    predictor(np.full((32, 32, 3), 7, np.uint8))
    np.testing.assert_allclose(seen[0][0, :, 0, 0], (7 - np.array([1, 2, 3])) / [50, 60, 70], rtol=1e-6)


def test_the_palette_that_is_written_can_be_given(tmp_path):
    """palette.txt of one run is a --palette of the next one."""
    colors = np.array([[1, 2, 3], [255, 254, 253]], np.uint8)
    ImageWriter(tmp_path / "out", colors, ("a road", "b"))
    again, names = read_palette(tmp_path / "out" / "palette.txt", ["x", "y"])
    assert (again.tolist(), names) == (colors.tolist(), ("a road", "b"))
