"""The configuration keys on which the result of a training depends; part of `src/config/schema.py`."""

from dataclasses import dataclass
from typing import Optional

from src.config.registry import NETWORKS
from src.config.schema_base import (
    BROWSE_DATASET,
    TRAIN,
    WITH_NETWORK,
    Section,
    at_least,
    between,
    key,
    positive,
    strictly_between,
    weights,
)
from src.config.schema_data import Data
from src.config.schema_model import Loss, NetArgs, Optimizer


@dataclass(frozen=True)
class Recipe(Section):
    """The keys that determine a training: with equal values two runs on the same device give the same network."""

    data: Data = key(help="data set")
    optimizer: Optimizer = key(Optimizer(), "optimizer and schedule")
    net_args: NetArgs = key(NetArgs(), "variants of the network")
    loss: Loss = key(Loss(), "loss of each head")
    net: str = key("BiSeNetV2", "the network", scripts=WITH_NETWORK, choices=NETWORKS)
    num_classes: int = key(19, "number of classes, without the ignored one", check=between(2, 255))
    loss_weight: tuple[float, ...] = key(
        (1.0,) * 5,
        "weights of the five heads' losses: main, aux2, aux3, aux4, aux5_4",
        scripts=(TRAIN,),
        check=weights,
    )
    total_step: int = key(160000, "number of training steps", scripts=(TRAIN,), check=at_least(1))
    warmup_step: int = key(1000, "steps of linear warm-up", scripts=(TRAIN,), check=at_least(0))
    batch_size: int = key(4, "training images a pass and device", scripts=(TRAIN,), check=at_least(1))
    accumulate_steps: int = key(
        1, "passes whose gradients make one update; a step is an update", scripts=(TRAIN,), check=at_least(1)
    )
    ema_decay: Optional[float] = key(
        None,
        "also average the weights: share of the average kept at an update, e.g. 0.999; evaluated while training",
        scripts=(TRAIN,),
        check=strictly_between(0, 1),
    )
    seed: int = key(
        1,
        "seed of initialisation, order and augmentation",
        scripts=(TRAIN, BROWSE_DATASET),
        check=between(0, 2**32 - 1),
    )
    mix: bool = key(
        False,
        "mixed precision: convolutions in float16, all else in float32; in an export resizes in float16, too",
        scripts=WITH_NETWORK,
    )
    sync_bn: bool = key(
        False, "batch statistics over all devices in training; on Ascend, with more than one", scripts=(TRAIN,)
    )
    precision_mode: Optional[str] = key(
        None,
        "precision of operators on Ascend, by CANN's names; default: float32 where the chip has it",
        scripts=WITH_NETWORK,
        choices=("allow_fp32_to_fp16", "must_keep_origin_dtype", "force_fp16", "allow_mix_precision", "force_fp32"),
    )
    conv_allow_hf32: Optional[bool] = key(
        None,
        "on Ascend: convolutions of float32 in HF32, with 11 bits of mantissa; default: as CANN, which does so on the "
        "910B and later",
        scripts=WITH_NETWORK,
    )
    jit_level: str = key(
        "auto",
        "execution level of graphs on Ascend; auto: O2 with MindSpore 2.5 to 2.8, else MindSpore's own",
        scripts=WITH_NETWORK,
        choices=("auto", "O0", "O1", "O2"),
    )
    deterministic: bool = key(
        False, "on Ascend: kernels whose results are the same in every run, more slowly", scripts=WITH_NETWORK
    )
    ms_loss_scaler: Optional[str] = key(
        None,
        "loss scale; default where convolutions are float16: static on chips that saturate, else dynamic",
        scripts=(TRAIN,),
        choices=("static", "dynamic", "none"),
    )
    ms_loss_scaler_value: float = key(
        1024.0, "static loss scale, or the first one of a dynamic scale", scripts=(TRAIN,), check=at_least(1)
    )
    ms_loss_scaler_window: int = key(
        2000, "steps without overflow before a dynamic loss scale doubles", scripts=(TRAIN,), check=at_least(1)
    )
    clip_grad_norm: Optional[float] = key(
        None, "clip gradients to this global norm; default: no clipping", scripts=(TRAIN,), check=positive
    )
    recompute: str = key(
        "none",
        "compute features anew in the backward pass, for less memory and more time: of the heads, or of all stages",
        scripts=(TRAIN,),
        choices=("none", "heads", "all"),
    )
    force_update: bool = key(False, "update the weights even when gradients are not finite", scripts=(TRAIN,))
