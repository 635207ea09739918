"""Protocols by name: what each stands for, several of them in one run, and windows in every script."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

import eval as eval_script
import train as train_script
from src.base.errors import ConfigError, EvaluationInterruptedError
from src.config.protocols import with_protocol
from src.data.eval_samples import EvalSamples
from src.data.image_files import read_image
from src.evaluation import evaluator
from src.evaluation.inference import create_infers, evaluation_protocol
from src.evaluation.side_by_side import side_by_side
from src.modules.bisenetv2 import BiSeNetV2
from src.predict.predictor import checkpoint_predictor
from src.predict.record import make_record
from src.utils.config import parse_config
from src.utils.metrics import Evaluation
from tests.dataset_helpers import MEAN, STD, make_data, write_cityscapes
from tests.evaluation.test_official_evaluation import CLASS_IDS, train_ids
from tests.golden_weights import load_seeded
from tests.rank_threads import on_ranks
from tests.run_helpers import tiny_options
from tests.window_reference import sliding_logits

pytestmark = pytest.mark.once

CROP, STRIDE = "data.eval_transforms.crop_size", "data.eval_transforms.crop_stride"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("data"), {"train": 2, "val": 3})


def normalized(image: np.ndarray) -> np.ndarray:
    return ((image / 255 - MEAN) / STD).transpose(2, 0, 1)


BLACK = normalized(np.zeros((1, 1, 3))).ravel()


@pytest.mark.parametrize(
    ("name", "keys", "scales", "flip", "windows"),
    [
        ("ss", [], [1.0], False, None),
        ("ss", [f"{CROP}=[64,96]"], [1.0], False, None),
        ("ssc", [], [1.0], False, ([1024, 1024], [683, 683])),
        ("ssc", [f"{CROP}=[64,96]"], [1.0], False, ([64, 96], [43, 64])),
        ("msf", ["--flip", "False"], [0.5, 0.75, 1.0, 1.25, 1.5, 1.75], True, None),
        ("mscf", [f"{CROP}=[64,96]", f"{STRIDE}=[64,32]"], None, True, ([64, 96], [64, 32])),
        (None, [f"{CROP}=[64,96]", "--single_scale", "True"], [1.0], False, ([64, 96], [43, 64])),
        (None, [], None, True, None),
    ],
)
def test_what_a_name_stands_for(name, keys, scales, flip, windows):
    data = parse_config(keys, "eval").data
    used = (with_protocol(data, name) if name else data).eval_transforms
    expected = {"multi_scale": scales != [1.0], "flip": flip, "image_size": [1024, 2048]}
    expected["img_ratios"] = scales or [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    if windows:
        expected |= {"crop_size": windows[0], "crop_stride": windows[1]}
    assert evaluation_protocol(used) == expected


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--protocols", "ss,mss"], "protocols: must be one of ss, ssc, msf, mscf; got 'mss'"),
        (["--protocols", "ss,ssc,ss"], "protocols: names one twice: ss, ssc, ss"),
        (["--protocols", "[]"], "protocols: needs at least one name"),
        (["--protocols", "ss", "--single_scale", "True"], "protocols: excludes single_scale"),
        (["--protocols", "ss,msf", "--split", "test", "--save_predictions", "x"], "protocols: must be one with --spl"),
        ([f"{CROP}=[31,64]"], "crop_size: must be at least 32, got \\[31, 64\\]"),
        ([f"{CROP}=[64,64]", f"{STRIDE}=[64,65]"], "crop_stride: must be at most crop_size \\[64, 64\\], got"),
        ([f"{STRIDE}=[64,65]"], "crop_stride: needs crop_size"),
        (["data.eval_transforms.crop_batch=0"], "crop_batch: must be at least 1"),
    ],
)
def test_what_cannot_be_is_one_line(words, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        parse_config(words, "eval")
    assert len(str(caught.value).splitlines()) == 1


def test_names_are_a_list_with_or_without_brackets():
    for text in ("ss,mscf", "[ss, mscf]", " ss , mscf"):
        assert parse_config(["--protocols", text], "eval").protocols == ("ss", "mscf")
    assert parse_config([], "eval").protocols is None
    assert parse_config([], "train").eval_protocol == "ss"
    with pytest.raises(ConfigError, match="eval_protocol: must be one of ss, ssc; got 'msf'"):
        parse_config(["--eval_protocol", "msf"], "train")


class Shifted:
    """Stands in for a network: the class is the red level of the pixel, a little off, modulo 19."""

    def __init__(self, shift: int, calls: list) -> None:
        self.shift, self.calls = shift, calls

    def __call__(self, image: Tensor) -> SimpleNamespace:
        self.calls.append(self.shift)
        level = np.rint((image.asnumpy()[:, 0] * STD[0] + MEAN[0]) * 255).astype(int)
        return SimpleNamespace(asnumpy=lambda: (level + self.shift) % 19)


@pytest.mark.parametrize("ranks", [1, 2])
def test_several_protocols_read_each_image_once(dataset, monkeypatch, ranks):
    data, read, calls, first = make_data(dataset), [], [], {}
    plain = EvalSamples.__getitem__
    monkeypatch.setattr(EvalSamples, "__getitem__", lambda self, index: read.append(index) or plain(self, index))
    settings = {"num_classes": 19, "ignore_label": 255}

    def run(communicator):
        return evaluator.evaluate_all(
            [Shifted(shift, calls) for shift in (0, 5)],
            EvalSamples(data, num_classes=19),
            communicator=communicator,
            on_prediction=lambda sample, found: first.update({sample.stem: found}),
            **settings,
        )

    for results in on_ranks(ranks, run):
        for result, shift in zip(results, (0, 5)):
            counts = np.zeros((19, 19), int)
            for path in sorted(dataset.glob("leftImg8bit/val/*/*.png")):
                found = (read_image(str(path))[..., 0].astype(int) + shift) % 19
                label = str(path).replace("leftImg8bit", "gtFine", 1).replace("leftImg8bit", "gtFine_labelIds")
                truth = train_ids(cv2.imread(label, cv2.IMREAD_UNCHANGED))
                np.add.at(counts, (truth[truth < 255], found[truth < 255]), 1)
                if shift == 0:
                    np.testing.assert_array_equal(first[path.stem], found)
            hits, union = counts.diagonal(), counts.sum(0) + counts.sum(1) - counts.diagonal()
            np.testing.assert_allclose(result.iou[union > 0], (hits / np.maximum(union, 1))[union > 0], rtol=1e-12)
            assert result.images == 3
            assert result.pixel_accuracy == pytest.approx(hits.sum() / counts.sum(), rel=1e-12)
    assert sorted(read) == [0, 1, 2]
    assert sorted(calls) == [0, 0, 0, 5, 5, 5]


def test_a_stop_between_images_gives_no_scores(dataset):
    answers, calls = iter([False, True]), []
    with pytest.raises(EvaluationInterruptedError):
        evaluator.evaluate_all(
            [Shifted(0, calls), Shifted(5, calls)],
            EvalSamples(make_data(dataset), num_classes=19),
            num_classes=19,
            ignore_label=255,
            should_stop=lambda: next(answers),
        )
    assert calls == [0, 5]


def test_the_table_has_a_column_for_each_protocol():
    first = Evaluation(3, 0.625, np.array([0.5, 0.75, np.nan]), 0.9, 2.0)
    second = Evaluation(3, 0.25, np.array([0.25, 0.5, 0.0]), 0.875, 0.125)
    lines = side_by_side(("ss", "mscf"), (first, second), ("road", "a wall", "sky")).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.split() for line in lines if not line.startswith("-")] == [
        ["IoU", "ss", "mscf"],
        ["road", "0.5000", "0.2500"],
        ["a", "wall", "0.7500", "0.5000"],
        ["sky", "absent", "0.0000"],
        ["mean", "0.6250", "0.2500"],
        ["pixel", "accuracy", "0.9000", "0.8750"],
        ["images/s", "2.00", "0.12"],
    ]


@pytest.fixture(scope="module")
def network() -> BiSeNetV2:
    """The network of `weights`, in PyNative mode."""
    network = BiSeNetV2(19, aux_heads=False)
    load_seeded(network)
    return network.set_train(False)


def by_hand(network: nn.Cell, image: np.ndarray, size: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """Return the logits (19, H, W) of a photograph (H, W, 3) in windows of `size`."""

    def scores(windows):
        return network(Tensor(windows, ms.float32)).asnumpy()

    return sliding_logits(normalized(image), scores, size, stride, BLACK)


def check_classes(found: np.ndarray, logits: np.ndarray) -> None:
    """Check a class map but where two classes are as good as equal."""
    ordered = np.sort(logits, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-4 * np.abs(logits).max()
    assert clear.mean() > 0.98
    np.testing.assert_array_equal(found[clear], logits.argmax(axis=0)[clear])


@pytest.mark.slow
def test_one_command_evaluates_all_four(dataset, weights, network, tmp_path, capfd):
    options = ["--checkpoint_path", weights, "--save_dir", tmp_path / "run", "--ms_mode", 1, *tiny_options(dataset)]
    options += ["--save_predictions", tmp_path / "predicted", "--protocols", "ssc,ss,msf,mscf"]
    options += ["data.eval_transforms.item_transforms.Resize.target_size=[48,96]", f"{CROP}=[40,64]"]
    assert eval_script.main([str(word) for word in options]) == 0
    printed = capfd.readouterr().out
    record = json.loads((tmp_path / "run" / "eval.json").read_text(encoding="utf-8"))
    several = record["protocols"]
    assert [entry["name"] for entry in several] == ["ssc", "ss", "msf", "mscf"]
    for name in ("miou", "iou", "pixel_accuracy", "protocol"):
        assert record[name] == several[0][name]
    windows = {"crop_size": [40, 64], "crop_stride": [27, 43]}
    single = {"multi_scale": False, "img_ratios": [1.0], "flip": False, "image_size": [48, 96]}
    several_scales = single | {"multi_scale": True, "img_ratios": [0.75, 1.0], "flip": True}
    assert [entry["protocol"] for entry in several] == [
        single | windows,
        single,
        several_scales,
        several_scales | windows,
    ]
    assert len({entry["pixel_accuracy"] for entry in several}) == 4
    assert printed.count("miou: ") == printed.count("iou array: ") == 1
    assert "protocol mscf: image size 48x96 (height x width), scales 0.75, 1.0, flip True, windows 40x64, " in printed
    row = next(line for line in printed.splitlines() if line.startswith("mean "))
    assert row.split()[1:] == [f"{entry['miou']:.4f}" for entry in several]

    truths, guesses = [], []
    for path in sorted(dataset.glob("leftImg8bit/val/*/*.png")):
        image = read_image(str(path))
        stem = path.stem.replace("_leftImg8bit", "")
        found = cv2.imread(str(tmp_path / "predicted" / f"{stem}_pred_labelIds.png"), cv2.IMREAD_UNCHANGED)
        check_classes(train_ids(found), by_hand(network, image, (40, 64), (27, 43)))
        label = dataset / "gtFine" / "val" / path.parent.name / f"{stem}_gtFine_labelIds.png"
        truths.append(cv2.imread(str(label), cv2.IMREAD_UNCHANGED))
        guesses.append(network(Tensor(normalized(image)[None], ms.float32)).asnumpy()[0].argmax(0))
    valid = np.isin(truths, CLASS_IDS)
    right = (np.array(CLASS_IDS)[np.array(guesses)] == np.array(truths))[valid].mean()
    assert several[1]["pixel_accuracy"] == pytest.approx(right, abs=1e-3)  # whole pictures; ties may fall either way


def test_the_evaluation_while_training_can_use_windows(dataset, network, caplog):
    caplog.set_level(logging.INFO)
    words = [*tiny_options(dataset), "--run_eval", "True", "--ms_mode", "1"]
    words += ["data.eval_transforms.item_transforms.Resize.target_size=[48,96]"]
    found = {}
    for name in ("ss", "ssc"):
        config = parse_config([*words, "--eval_protocol", name], "train")
        run = train_script.make_evaluation(network, None, config, None)
        found[name] = run(lambda: False)
        assert network.training
        (infer,) = create_infers(network, [with_protocol(config.data, name).eval_transforms])
        alone = evaluator.evaluate(infer, EvalSamples(config.data, num_classes=19), num_classes=19, ignore_label=255)
        np.testing.assert_array_equal(found[name].iou, alone.iou)
        network.set_train(False)
    assert found["ss"].pixel_accuracy != found["ssc"].pixel_accuracy
    lines = [message for message in caplog.messages if message.startswith("protocol")]
    assert lines[0] == "protocol: image size 48x96 (height x width), scales 1.0, flip False"
    assert lines[1] == f"{lines[0]}, windows 64x64, stride 43x43"  # of the size of training's


def test_predictions_in_windows_need_no_padding_to_32(weights, network, caplog):
    caplog.set_level(logging.INFO)
    config = parse_config(["--single_scale", "True", f"{CROP}=[40,64]", f"{STRIDE}=[40,32]"], "eval")
    image = np.random.default_rng(3).integers(0, 256, (5, 7, 3)).repeat(15, 0).repeat(15, 1).astype(np.uint8)
    found = checkpoint_predictor(config, weights, None)(image)
    assert found.shape == (75, 105)
    check_classes(found, by_hand(network, image, (40, 64), (40, 32)))
    assert "flip False, windows 40x64, stride 40x32" in caplog.text
    assert "compiled once" not in caplog.text  # whatever the size of a picture


def test_a_prediction_without_windows_keeps_its_record(tmp_path):
    (tmp_path / "x.ckpt").touch()
    arguments = (tmp_path / "x.ckpt", tmp_path, None, {})
    plain = make_record(parse_config([], "eval"), *arguments)["options"]
    assert not [name for name in plain if name.startswith("crop")]
    batch = make_record(parse_config([f"{CROP}=[64,64]", "data.eval_transforms.crop_batch=9"], "eval"), *arguments)
    assert batch["options"] == plain | {"crop_size": [64, 64], "crop_stride": None}
