"""What the keys of optimizer, average and end of a training accept."""

from __future__ import annotations

import pytest

from src.base.errors import ConfigError
from src.config import schema
from src.utils.config import parse_config

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer.type=adamw"], "optimizer.lr_init: required with adamw: 0.05 is meant for sgd"),
        (["optimizer.betas=[0.8,0.9]"], "optimizer.betas: does nothing with optimizer.type=sgd"),
        (["optimizer.eps=1e-6"], "optimizer.eps: does nothing with optimizer.type=sgd"),
        (
            ["optimizer.type=adamw", "--lr_init", "0.1", "optimizer.momentum=0.8"],
            "optimizer.momentum: does nothing with optimizer.type=adamw",
        ),
        (
            ["optimizer.type=adamw", "--lr_init", "0.1", "optimizer.nesterov=True"],
            "optimizer.nesterov: does nothing with optimizer.type=adamw",
        ),
        (["optimizer.betas=[0.9,1]"], r"optimizer.betas: must lie in 0..0.999999, got \[0.9, 1.0\]"),
        (["optimizer.head_lr_mult=0"], "optimizer.head_lr_mult: must be positive"),
        (["--ema_decay", "1"], "ema_decay: must lie between 0 and 1, got 1.0"),
        (["--accumulate_steps", "0"], "accumulate_steps: must be at least 1, got 0"),
        (["--total_step", "9", "--stop_step", "10"], "stop_step: must not exceed total_step = 9, got 10"),
    ],
)
def test_what_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(words, "train")


def test_sgd_has_the_published_rate_and_adamw_its_own():
    assert schema.Optimizer().lr_init == parse_config([], "train").optimizer.lr_init == 0.05
    config = parse_config(["optimizer.type=adamw", "--lr_init", "0.002"], "train")
    assert config.optimizer.lr_init == 0.002
    assert config.optimizer.betas == (0.9, 0.999)


@pytest.mark.parametrize("script", ["eval", "export"])
def test_which_weights(script):
    assert parse_config([], script).weights == "model"
    with pytest.raises(ConfigError, match="weights: must be one of model, ema; got 'average'"):
        parse_config(["--weights", "average"], script)
