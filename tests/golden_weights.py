"""Give a network the seeded weights of the golden values, by PyTorch's names."""

from __future__ import annotations

from mindspore import Tensor, nn

from tests.golden.seeded import seeded_parameter

_TORCH_LAST = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def torch_name(name: str) -> str:
    """Return PyTorch's name of one of our parameters."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_TORCH_LAST.get(last, last)}"


def load_seeded(network: nn.Cell, seed: int = 0) -> None:
    """Set every parameter of `network` to its seeded values."""
    for parameter in network.get_parameters():
        values = seeded_parameter(torch_name(parameter.name), parameter.shape, seed)
        parameter.set_data(Tensor(values, parameter.dtype))
