"""The configuration keys of network, loss and optimizer; part of `src/config/schema.py`."""

from dataclasses import dataclass
from typing import Optional

from src.config.registry import LOSSES, OPTIMIZERS
from src.config.schema_base import Section, at_least, between, key, positive, problem_unless, strictly_between

THRESH = 0.7  # of the published PyTorch training
UNUSED = "does nothing without loss.type=ohem"
LR_INIT = 0.05  # of the published run, and of every optimizer but adamw


@dataclass(frozen=True)
class Loss(Section):
    """The loss of each head."""

    type: str = key(
        "ce",
        "cross entropy of all valid pixels, or of the hard ones (online hard example mining)",
        choices=LOSSES,
    )
    ohem_thresh: float = key(
        THRESH, "with ohem: a pixel is hard if its class gets a probability below this", check=strictly_between(0, 1)
    )
    ohem_min_kept: Optional[int] = key(
        None,
        "with ohem: pixels kept at least, of a batch on one device; null = a sixteenth of its pixels",
        check=at_least(1),
    )

    def problems(self) -> list[str]:
        idle = self.type != "ohem"
        problems = problem_unless(not (idle and self.ohem_thresh != THRESH), "ohem_thresh", UNUSED)
        return problems + problem_unless(not idle or self.ohem_min_kept is None, "ohem_min_kept", UNUSED)


@dataclass(frozen=True)
class Optimizer(Section):
    """Optimizer and learning-rate schedule."""

    type: str = key("sgd", "the optimizer", choices=OPTIMIZERS)
    momentum: float = key(0.9, "with sgd: momentum, as PyTorch's SGD defines it", check=between(0, 0.9999))
    weight_decay: float = key(
        0.0005, "with sgd: L2 penalty added to the gradient; with adamw: decay apart from it", check=at_least(0)
    )
    nesterov: bool = key(False, "with sgd: Nesterov momentum")
    filter_bias_and_bn: bool = key(False, "exempt 1-D parameters (biases, batch normalisation) from weight decay")
    betas: tuple[float, float] = key(
        (0.9, 0.999), "with adamw: decay of the means of gradients and of their squares", check=between(0, 0.999999)
    )
    eps: float = key(1.0e-8, "with adamw: added to the root of the mean square", check=positive)
    lr_init: Optional[float] = key(
        None, "learning rate at step 0; default 0.05, for SGD and a total batch of 16; adamw needs one", check=positive
    )
    lr_end: float = key(0.0, "learning rate at total_step", check=at_least(0))
    lr_power: float = key(0.9, "exponent of the polynomial decay", check=at_least(0))
    head_lr_mult: float = key(1.0, "factor of the learning rate in main and auxiliary heads", check=positive)

    def __post_init__(self) -> None:
        if self.lr_init is None and self.type != "adamw":
            object.__setattr__(self, "lr_init", LR_INIT)
        super().__post_init__()

    def problems(self) -> list[str]:
        if self.lr_init is None:
            return [f"lr_init: required with adamw: {LR_INIT} is meant for sgd; PyTorch's default is 0.001"]
        problems = problem_unless(
            self.lr_end <= self.lr_init, "lr_end", f"must not exceed lr_init = {self.lr_init}, got {self.lr_end}"
        ) + problem_unless(self.momentum > 0 or not self.nesterov, "nesterov", "needs a momentum above 0")
        usual = type(self).__dataclass_fields__
        for owner, names in (("sgd", ("momentum", "nesterov")), ("adamw", ("betas", "eps"))):
            other = {"sgd": "adamw", "adamw": "sgd"}[owner]
            for name in names:
                idle = self.type == other and getattr(self, name) != usual[name].default
                problems += problem_unless(not idle, name, f"does nothing with optimizer.type={other}")
        return problems


@dataclass(frozen=True)
class NetArgs(Section):
    """Variants of the network."""

    inner_upsample: str = key(
        "bilinear", "upsampling inside aggregation and auxiliary heads", choices=("bilinear", "nearest")
    )
    bn_epsilon: float = key(
        1.0e-3, "epsilon of batch normalisation; 1e-5 in the other published variant", check=positive
    )
    bga_pointwise_bias: bool = key(
        False, "bias in the aggregation layer's pointwise convolutions (mmsegmentation has it)"
    )
    dropout: float = key(
        0.0,
        "dropout before the classifiers while training; its state is not in a checkpoint: a resumed run differs",
        check=between(0, 0.99),
    )
    depthwise_expand: str = key(
        "grouped",
        "expanding depthwise convolutions: grouped, or repeat the channels and convolve depthwise (same result)",
        choices=("grouped", "repeat"),
    )
    freeze_bn: bool = key(False, "train with the running statistics of batch normalisation, unchanged")
