"""A checkpoint whose configuration names another variant of the network than the one in use."""

from __future__ import annotations

import logging

import pytest

from src.modules.factory import compare_variant
from src.utils.config import parse_config

NEAREST = "net_args: {inner_upsample: nearest, bn_epsilon: 1.0e-05, bga_pointwise_bias: false, dropout: 0.1}\n"


@pytest.mark.parametrize(
    ("beside", "options", "warning"),
    [
        (NEAREST, [], "another variant of the network; give net_args.inner_upsample=nearest net_args.bn_epsilon=1e-05"),
        (
            NEAREST,
            ["net_args.inner_upsample=nearest"],
            "another variant of the network; give net_args.bn_epsilon=1e-05",
        ),
        (NEAREST, ["net_args.inner_upsample=nearest", "net_args.bn_epsilon=1e-5"], ""),
        ("num_classes: 3\n", [], ""),
        ("net_args: [1, 2]\n", [], ""),
        ("date: 2023-02-30\n", [], "weights.yml: not YAML: day is out of range for month"),
        ("- a list\n", [], "weights.yml: expected a mapping of keys to values, got list"),
        (None, [], ""),
    ],
)
def test_another_variant_is_told(tmp_path, caplog, beside, options, warning):
    if beside:
        (tmp_path / "weights.yml").write_text(beside, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        compare_variant(parse_config(options, "train"), tmp_path / "weights.ckpt")
    assert caplog.text.strip().endswith(warning)
    assert bool(caplog.text) == bool(warning)
