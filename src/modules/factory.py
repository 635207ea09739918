"""Build network, loss, optimizer and train cell from the configuration."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from src.base.errors import ConfigError
from src.config import schema, yaml_files
from src.config.registry import LOSSES, NETWORKS, OPTIMIZERS
from src.modules.accumulation import AccumulatingStepCell, PassWeight
from src.modules.base_modules import Network, to_mixed_precision
from src.modules.loss.cross_entropy import CrossEntropy
from src.modules.loss.loss import WithLossCell
from src.modules.loss_scale import choose_loss_scaler
from src.modules.optimizer import polynomial_decay
from src.modules.recomputation import recompute
from src.modules.train_warpper import TrainOneStepCell
from src.modules.weight_average import WeightAverage

logger = logging.getLogger(__name__)

# Options of the network that change the meaning of the weights, but few or none of their names and shapes.
VARIANT = ("inner_upsample", "bn_epsilon", "bga_pointwise_bias")


def create_network(config: schema.Config, *, aux_heads: bool, sync_bn: bool = False) -> Network:
    """Make the configured network, in mixed precision if so configured."""
    arguments = {**dataclasses.asdict(config.net_args), "seed": config.seed, "sync_bn": sync_bn}
    network = NETWORKS[config.net](config.num_classes, aux_heads=aux_heads, **arguments)
    if config.mix:
        to_mixed_precision(network)
    return network


def create_criterion(
    loss: schema.Loss, num_classes: int, class_weights: Sequence[float] | None, ignore_label: int
) -> CrossEntropy:
    """Make the loss of one head from the section `loss`; the other arguments are those of `CrossEntropy`."""
    criterion = LOSSES[loss.type]
    settings = {argument: getattr(loss, name) for argument, name in criterion.settings.items()}
    return criterion(num_classes, class_weights, ignore_label, **settings)


def learning_rates(optimizer: schema.Optimizer, total_step: int, warmup_step: int) -> np.ndarray:
    """Return the learning rate of each step, (total_step,) float64, see `polynomial_decay`."""
    assert optimizer.lr_init is not None  # every optimizer has one, see its section
    return polynomial_decay(
        total_step, warmup_step, start=optimizer.lr_init, end=optimizer.lr_end, power=optimizer.lr_power
    )


def create_optimizer(network: nn.Cell, optimizer: schema.Optimizer, rates: np.ndarray) -> nn.Optimizer:
    """Make the optimizer named by ``optimizer.type`` over the trainable parameters of `network`.

    Args:
        network: the network to train.
        optimizer: the section `optimizer`.
        rates: learning rate of every step of the run, (total_step,).
    """
    return OPTIMIZERS[optimizer.type](
        network,
        rates,
        momentum=optimizer.momentum,
        weight_decay=optimizer.weight_decay,
        nesterov=optimizer.nesterov,
        filter_bias_and_bn=optimizer.filter_bias_and_bn,
        betas=optimizer.betas,
        eps=optimizer.eps,
        head_lr_mult=optimizer.head_lr_mult,
    )


def create_train_cell(
    network: Network, config: schema.Config, rank_size: int = 1, rates: np.ndarray | None = None
) -> TrainOneStepCell:
    """Make the cell of one training step: network, loss, optimizer, loss scale, mean over the ranks.

    Args:
        network: made with auxiliary heads.
        config: the configuration.
        rank_size: number of ranks.
        rates: learning rate of every step; None computes them from the configuration.
    """
    criterion = create_criterion(config.loss, config.num_classes, config.data.map_label, config.data.ignore_label)
    if rates is None:
        rates = learning_rates(config.optimizer, config.total_step, config.warmup_step)
    optimizer = create_optimizer(network, config.optimizer, rates)
    options: dict[str, Any] = {
        "loss_scaler": choose_loss_scaler(config),
        "loss_scale": config.ms_loss_scaler_value,
        "scale_window": config.ms_loss_scaler_window,
        "clip_grad_norm": config.clip_grad_norm,
        "force_update": config.force_update,
        "rank_size": rank_size,
        "average": create_average(network, config.ema_decay, len(rates)),
    }
    passes = config.accumulate_steps
    # With several passes per update, `AccumulatingStepCell` averages the pixel weights over the ranks.
    with_loss = WithLossCell(network, criterion, config.loss_weight, rank_size if passes == 1 else 1)
    recompute(with_loss, config.recompute)
    if passes == 1:
        return TrainOneStepCell(with_loss, optimizer, **options).set_train(True)
    options |= {"accumulate_steps": passes, "heads": len(config.loss_weight), "pass_weight": PassWeight(criterion)}
    return AccumulatingStepCell(with_loss, optimizer, **options).set_train(True)


def create_average(network: nn.Cell, decay: float | None, steps: int) -> WeightAverage | None:
    """Make the average of the trainable weights, with a copy of all other parameters; None without `decay`."""
    if decay is None:
        return None
    others = [p for p in network.get_parameters() if not p.requires_grad]
    return WeightAverage(network.trainable_params(), others, decay=decay, calls=steps)


def compare_variant(config: schema.Config, path: str | Path) -> None:
    """Warn if the configuration beside a checkpoint names another variant of the network than `config`.

    A file of that name that is not a readable configuration only causes a warning.
    """
    beside = Path(path).with_suffix(".yml")
    if not beside.is_file():
        return
    try:
        theirs = yaml_files.read_yaml(beside).get("net_args")
    except ConfigError as err:
        logger.warning("%s", err)
        return
    if not isinstance(theirs, dict):
        return
    own = dataclasses.asdict(config.net_args)
    other = [f"net_args.{name}={theirs[name]}" for name in VARIANT if theirs.get(name, own[name]) != own[name]]
    if other:
        logger.warning("%s: weights of another variant of the network; give %s", path, " ".join(other))
