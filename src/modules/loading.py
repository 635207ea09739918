"""From a checkpoint to a network with its weights."""

from __future__ import annotations

from pathlib import Path

from src.base.paths import path_argument
from src.config import schema
from src.config.loading import require_config
from src.modules.base_modules import Network
from src.modules.factory import create_network
from src.modules.origin import compare_origin
from src.state import checkpoint


def load_network(config: schema.Config, path: str | Path) -> Network:
    """Make the configured network with the weights of a checkpoint, without auxiliary heads, to predict with.

    Args:
        config: network, and which weights of the checkpoint.
        path: the checkpoint.

    Raises:
        ConfigError: an argument is of the wrong type.
        CheckpointError: the checkpoint cannot be read, belongs to another network or lacks those weights.
    """
    require_config(config)
    path = path_argument(path, "path")
    values = checkpoint.read_checkpoint(path)
    compare_origin(config, values, path)
    values = checkpoint.choose_weights(values, config.weights, path)
    network = create_network(config, aux_heads=False)
    checkpoint.restore_network(network, values, path)
    return network.set_train(False)


def start_from(network: Network, config: schema.Config, path: str | Path) -> None:
    """Put those weights of a checkpoint into a network to be trained that fit; its classes may be others.

    Raises:
        CheckpointError: the checkpoint cannot be read, belongs to another network, or nothing in it fits.
    """
    values = checkpoint.read_checkpoint(path)
    compare_origin(config, values, path, training=True, new_classes=True)
    checkpoint.finetune_network(network, values, path)
