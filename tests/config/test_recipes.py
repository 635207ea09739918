"""The recipes: each loads, is what its source says, and is started by the command in its first lines."""

from __future__ import annotations

import dataclasses
import shlex

import pytest

from src.config import schema
from src.data.normalization import normalization_of
from src.utils.config import parse_config
from tests.run_helpers import ROOT

pytestmark = pytest.mark.once
RECIPES = {path.stem: path for path in sorted((ROOT / "config" / "recipes").glob("*.yml"))}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CITYSCAPES = ((0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115))


def comments(name: str) -> list[str]:
    lines = RECIPES[name].read_text(encoding="utf-8").splitlines()
    return [line[1:] for line in lines[: [line.startswith("#") for line in lines].index(False)]]


def command(name: str) -> list[str]:
    """Return the words of the command in a recipe's comment, whose lines are indented."""
    indented = [line.strip() for line in comments(name) if line.startswith("   ")]
    return shlex.split(" ".join(line.rstrip("\\") for line in indented))


def recipe(name: str) -> schema.Config:
    """Return the configuration that a recipe's command gives train.py."""
    words = command(name)
    if words[0] == "python":
        assert words[1] == "train.py"
        return parse_config(words[2:], "train")
    assert words[:2] == ["bash", "scripts/run_distribute_train.sh"]
    _, batch, save_dir, *options = words[2:]
    return parse_config(["--batch_size", batch, "--save_dir", save_dir, *options], "train")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_loads_and_tells_its_command_source_score_and_needs(name):
    plain = parse_config(["--config", str(RECIPES[name])], "train")
    told, started = " ".join(comments(name)), recipe(name)
    assert f"--config config/recipes/{name}.yml" in " ".join(command(name))
    assert all(part in told for part in ("Source: ", "Cited: ", "Needs "))
    assert (started.batch_size, started.data.map_label) == (plain.batch_size, plain.data.map_label)
    transforms = (plain.data.train_transforms.item_transforms, plain.data.eval_transforms.item_transforms)
    one, other = (normalization_of(part) for part in transforms)
    assert (one.mean, one.std) == (other.mean, other.std)


def facts(name: str) -> dict[str, object]:
    config = recipe(name)
    crop, resize = (part.item_transforms[0] for part in (config.data.train_transforms, config.data.eval_transforms))
    normalize = normalization_of(config.data.train_transforms.item_transforms)
    return {
        "loss": config.loss.type,
        "steps": (config.total_step, config.warmup_step),
        "batch": config.batch_size,
        "lr": (config.optimizer.lr_init, config.optimizer.lr_end, config.optimizer.lr_power),
        "decay": (config.optimizer.weight_decay, config.optimizer.filter_bias_and_bn),
        "crop": crop.crop_size,
        "scales": (crop.base_size, crop.scale_range, crop.cat_max_ratio),
        "evaluated": resize.target_size,
        "normalize": (normalize.mean, normalize.std),
        "weights": config.data.map_label,
        "classes": (config.num_classes, config.data.name),
    }


def test_the_paper():
    assert facts("ohem") == {
        "loss": "ohem",
        "steps": (150000, 1000),
        "batch": 4,
        "lr": (0.05, 0.0, 0.9),
        "decay": (0.0005, True),
        "crop": (512, 1024),
        "scales": (2048, (0.375, 1.0), None),
        "evaluated": (512, 1024),
        "normalize": CITYSCAPES,
        "weights": None,
        "classes": (19, "cityscapes"),
    }


def test_batch_32():
    assert facts("batch32") == {
        "loss": "ce",
        "steps": (160000, 1000),
        "batch": 8,
        "lr": (0.05, 0.0001, 0.9),
        "decay": (0.0005, False),
        "crop": (1024, 1024),
        "scales": (2048, (0.5, 2.0), 0.75),
        "evaluated": (1024, 2048),
        "normalize": IMAGENET,
        "weights": None,
        "classes": (19, "cityscapes"),
    }
    assert recipe("batch32").sync_bn


def test_the_public_pytorch_training():
    assert facts("imagenet_backbone") == {
        "loss": "ohem",
        "steps": (150000, 1000),
        "batch": 8,
        "lr": (0.005, 0.0, 0.9),
        "decay": (0.0005, True),
        "crop": (512, 1024),
        "scales": (2048, (0.25, 2.0), None),
        "evaluated": (1024, 2048),
        "normalize": CITYSCAPES,
        "weights": None,
        "classes": (19, "cityscapes"),
    }
    config = recipe("imagenet_backbone")
    assert (config.optimizer.head_lr_mult, config.sync_bn, config.mix) == (10, True, True)
    assert (config.net_args.inner_upsample, config.net_args.bn_epsilon) == ("nearest", 1e-5)  # that of its backbone
    assert config.finetune_ckpt == "backbone.ckpt"


def test_one_card_is_the_default_with_four_passes():
    default = parse_config(["--save_dir", "runs/one", "data.dataset_dir=/path/to/Cityscapes"], "train")
    assert recipe("one_card") == dataclasses.replace(default, accumulate_steps=4)


def test_camvid():
    assert facts("camvid") == {
        "loss": "ce",
        "steps": (10000, 200),
        "batch": 4,
        "lr": (0.05, 0.0, 0.9),
        "decay": (0.0005, True),
        "crop": (720, 960),
        "scales": (960, (0.75, 2.0), None),
        "evaluated": (720, 960),
        "normalize": CITYSCAPES,
        "weights": None,
        "classes": (11, "generic"),
    }
    assert recipe("camvid").finetune_ckpt.endswith(".ckpt")
    assert len(recipe("camvid").data.label_colors) == 32
