"""Compute the golden values of the network, loss and optimizer tests with PyTorch.

    pip install -r requirements/torch.txt
    python tests/golden/make_golden.py [--output DIR]

The network lies in torch_network.py. Weights, images and labels come from seeded.py, so a file holds seeds, settings
and results. Results are computed in float32 and stored so; a second pass in float64 prints how far rounding alone
moves them, relative to the largest value of the same array.

Of a full map the files keep the values at the flat `indices`, the largest magnitude (`*_absmax`) and the sum (`*_sum`).
Parameters, gradients and running statistics are kept whole under their PyTorch names; `count/<layer>` is over how many
values per channel that layer normalised, which is what turns an unbiased variance into a biased one.
"""

from __future__ import annotations

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from seeded import IGNORE_LABEL, seeded_image, seeded_label, seeded_parameter
from torch import Tensor, nn
from torch.nn import functional
from torch_network import HEADS, NUM_CLASSES, BiSeNetV2, cross_entropies

logger = logging.getLogger(__name__)

Results = dict[str, Tensor]

CLASS_WEIGHTS = (
    0.8373,
    0.918,
    0.866,
    1.0345,
    1.0166,
    0.9969,
    0.9754,
    1.0489,
    0.8786,
    1.0023,
    0.9539,
    0.9843,
    1.1116,
    0.9037,
    1.0865,
    1.0955,
    1.0865,
    1.1529,
    1.0507,
)
WEIGHT_SEED, LABEL_SEED, INDEX_SEED = 0, 2, 3
SAMPLES = 2000  # values kept of a full map
EPSILON = {"bilinear": 1e-3, "nearest": 1e-5}  # of the batch normalisation, by inner upsampling
# Inner upsampling, height, width, image seed. 90x120 is no multiple of any stride. The gradient jumps where a ReLU
# switches. With these image seeds none switches by rounding that matters: errors of 1e-7 put on the image, or another
# convolution algorithm, move no stored gradient by more than 6e-4 of its array's maximum (other seeds: up to 2e-2).
NETWORKS = (("bilinear", 128, 256, 1), ("bilinear", 90, 120, 1), ("nearest", 128, 256, 6), ("nearest", 90, 120, 1))
RUNNING = (
    "detail.S1.0.bn",
    "segment.S1S2.fuse.bn",
    "segment.S4.0.dwconv2.1",
    "segment.S5_5.bn",
    "bga.left2.1",
    "head.conv.bn",
    "aux5_4.conv_out.0.1.bn",
)
GRADIENTS = (
    "detail.S1.0.conv.weight",
    "segment.S1S2.left.0.conv.weight",
    "segment.S3.0.dwconv1.0.weight",
    "segment.S4.0.shortcut.0.weight",
    "segment.S5_5.bn.weight",
    "segment.S5_5.conv_gap.bn.bias",
    "bga.left1.0.weight",
    "bga.right2.1.weight",
    "head.conv_out.1.bias",
    "head.conv.bn.weight",
    "aux2.conv_out.1.weight",
    "aux4.conv.bn.bias",
)
# Ten steps at this rate stay predictable: rounding moves the total loss by up to 1e-6 of its value, a head's by 4e-6.
SCHEDULE = {"lr_init": 0.01, "lr_end": 0.0, "lr_power": 0.9, "total_step": 40, "warmup_step": 3}
MOMENTUM = 0.9
# OHEM on logits of 2*12*16 pixels, a sixteenth of which is 24. Case: added to the score of the right class, first
# row of the label map that is ignored, pixels to keep at least (0 for the sixteenth), with class weights.
OHEM_SHAPE, OHEM_THRESH, OHEM_WEIGHTS = (2, 5, 12, 16), 0.7, (0.5, 2.0, 1.0, 1.5, 0.8)
HARD = -np.log(OHEM_THRESH)
OHEM_CASES = {
    "many_hard": (0.0, 12, 0, False),
    "few_hard": (5.0, 12, 0, False),
    "many_hard_weighted": (0.0, 12, 0, True),
    "few_hard_weighted": (5.0, 12, 0, True),
    "all_ignored": (0.0, 0, 0, False),
    "few_valid": (5.0, 1, 100, False),
}
TRAINED = (
    "detail.S1.0.conv.weight",
    "segment.S3.0.dwconv1.0.weight",
    "bga.right2.1.weight",
    "head.conv_out.1.bias",
    "aux2.conv_out.1.weight",
    "segment.S4.0.dwconv2.1.running_mean",
    "segment.S4.0.dwconv2.1.running_var",
)


def build(inner_upsample: str, dtype: torch.dtype) -> BiSeNetV2:
    """Return the network with its seeded weights."""
    model = BiSeNetV2(inner_upsample, EPSILON[inner_upsample])
    for name, value in model.state_dict().items():
        if value.dim():  # all but the batch counters
            value.copy_(torch.from_numpy(seeded_parameter(name, tuple(value.shape), WEIGHT_SEED)))
    return model.to(dtype)


def batch(height: int, width: int, *, image_seed: int, label_seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return two images (2, 3, H, W) and their labels (2, H, W)."""
    image = seeded_image((2, 3, height, width), image_seed)
    label = seeded_label((2, height, width), NUM_CLASSES, label_seed)
    return torch.from_numpy(image).to(dtype), torch.from_numpy(label).long()


def draw_indices(size: int) -> Tensor:
    """Return the flat positions whose values are kept of a map of `size` values."""
    return torch.from_numpy(np.random.default_rng(INDEX_SEED).choice(size, SAMPLES, replace=False))


def summary(name: str, full: Tensor, indices: Tensor) -> Results:
    """Return values, largest magnitude and sum of a full map."""
    flat = full.detach().flatten()
    return {name: flat[indices], f"{name}_absmax": flat.abs().max(), f"{name}_sum": flat.sum(dtype=torch.float64)}


def note_count(results: Results, key: str, _module: nn.Module, _inputs: tuple[Tensor], output: Tensor) -> None:
    """Store over how many values per channel a layer normalises (a forward hook behind its first two arguments)."""
    results[key] = torch.tensor(output.numel() // output.shape[1])


def network_values(inner_upsample: str, height: int, width: int, image_seed: int, *, dtype: torch.dtype) -> Results:
    """Run the network in evaluation mode, then one training pass with the gradients of the weighted loss."""
    seeds = {"image_seed": image_seed, "label_seed": LABEL_SEED}
    results = {name: torch.tensor(seed) for name, seed in (*seeds.items(), ("weight_seed", WEIGHT_SEED))}
    image, label = batch(height, width, **seeds, dtype=dtype)
    results["indices"] = indices = draw_indices(len(image) * NUM_CLASSES * height * width)

    model = build(inner_upsample, dtype).eval()
    with torch.no_grad():
        for head, logits in zip(HEADS, model(image)):
            results |= summary("eval_logits" if head == "main" else f"eval_logits_{head}", logits, indices)

    for name in RUNNING:
        model.get_submodule(name).register_forward_hook(partial(note_count, results, f"count/{name}"))
    heads = model.train()(image)
    for head, logits in zip(HEADS, heads):
        results |= summary(f"train_logits_{head}", logits, indices)
    losses = cross_entropies(heads, label, torch.tensor(CLASS_WEIGHTS, dtype=dtype))
    losses.sum().backward()
    results |= {"loss_heads": losses, "loss": losses.sum()}
    results |= {f"grad/{name}": model.get_parameter(name).grad for name in GRADIENTS}
    for name in (f"{layer}.{kind}" for layer in RUNNING for kind in ("running_mean", "running_var")):
        results[f"running/{name}"] = model.get_buffer(name)
    return results


def loss_values(*, dtype: torch.dtype) -> Results:
    """Return the cross entropy of given logits, without and with class weights, and its gradient."""
    shape, logits_seed = (2, NUM_CLASSES, 17, 23), 1
    logits = torch.from_numpy(seeded_image(shape, logits_seed)).to(dtype).requires_grad_()
    label = torch.from_numpy(seeded_label((2, 17, 23), NUM_CLASSES, LABEL_SEED)).long()
    plain, weighted = (cross_entropies([logits], label, w)[0] for w in (None, torch.tensor(CLASS_WEIGHTS, dtype=dtype)))
    weighted.backward()
    indices = draw_indices(logits.numel())
    results = {"logits_shape": torch.tensor(shape), "logits_seed": torch.tensor(logits_seed), "indices": indices}
    results |= {"label_seed": torch.tensor(LABEL_SEED), "loss_unweighted": plain, "loss_weighted": weighted}
    return results | summary("grad", logits.grad, indices)


def ohem(logits: Tensor, label: Tensor, min_kept: int, weights: Tensor | None) -> Tensor:
    """Return the mean over the pixels of loss above -ln(thresh), or over the `min_kept` ones of largest loss if more.

    Hardness goes by the unweighted loss, the mean over the weights. Pixels that are ignored are left out beforehand.
    """
    valid = label != IGNORE_LABEL
    pixel_loss = functional.cross_entropy(logits, label, reduction="none", ignore_index=IGNORE_LABEL)[valid]
    kept = (pixel_loss > HARD).nonzero().flatten()
    if len(kept) < min_kept:
        kept = pixel_loss.topk(min(min_kept, len(pixel_loss))).indices
    if not len(kept):
        return 0 * logits.sum()
    weight = torch.ones_like(pixel_loss) if weights is None else weights[label[valid]]
    return (weight[kept] * pixel_loss[kept]).sum() / weight[kept].sum()


def ohem_values(*, dtype: torch.dtype) -> Results:
    """Return loss and gradient of every case, and how many pixels were valid and how many of them hard."""
    number, classes, height, width = OHEM_SHAPE
    results = {"logits_seed": torch.tensor(1), "label_seed": torch.tensor(LABEL_SEED)}
    results |= {"class_weights": torch.tensor(OHEM_WEIGHTS, dtype=torch.float64)}
    results["thresh"] = torch.tensor(OHEM_THRESH, dtype=torch.float64)
    for case, (boost, first_ignored, given, weighted) in OHEM_CASES.items():
        label = torch.from_numpy(seeded_label((number, height, width), classes, LABEL_SEED)).long()
        label[:, first_ignored:] = IGNORE_LABEL
        right = functional.one_hot(label.clamp(max=classes), classes + 1)[..., :classes].permute(0, 3, 1, 2)
        logits = (torch.from_numpy(seeded_image(OHEM_SHAPE, 1)) + boost * right).to(dtype).requires_grad_()
        weights = torch.tensor(OHEM_WEIGHTS, dtype=dtype) if weighted else None
        loss = ohem(logits, label, given or label.numel() // 16, weights)
        loss.backward()
        hard = functional.cross_entropy(logits, label, reduction="none", ignore_index=IGNORE_LABEL) > HARD
        settings = {"boost": boost, "first_ignored": first_ignored, "min_kept": given, "weighted": weighted}
        values = {name: torch.tensor(value, dtype=torch.float64) for name, value in settings.items()}
        values |= {"loss": loss, "grad": logits.grad, "valid": (label != IGNORE_LABEL).sum(), "hard": hard.sum()}
        results |= {f"{case}/{name}": value for name, value in values.items()}
    return results


def learning_rate(step: int) -> float:
    """Return the rate of step 0, 1, ...: polynomial decay times linear warm-up."""
    decay = (1 - step / SCHEDULE["total_step"]) ** SCHEDULE["lr_power"]
    rate = (SCHEDULE["lr_init"] - SCHEDULE["lr_end"]) * decay + SCHEDULE["lr_end"]
    return rate * min(1.0, (step + 1) / SCHEDULE["warmup_step"])


def train(steps: int, *, weight_decay: float, nesterov: bool, exempt_1d: bool, dtype: torch.dtype) -> Results:
    """Train a few steps without class weights; step i uses 100 + i as seed of image and label."""
    model = build("bilinear", dtype).train()
    exempt = [p for p in model.parameters() if exempt_1d and p.dim() == 1]
    decayed = [p for p in model.parameters() if not exempt_1d or p.dim() > 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM, nesterov=nesterov)
    losses, rates = [], [learning_rate(step) for step in range(steps)]
    for step, rate in enumerate(rates):
        image, label = batch(64, 96, image_seed=100 + step, label_seed=100 + step, dtype=dtype)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        losses.append(cross_entropies(model(image), label))
        losses[-1].sum().backward()
        optimizer.step()
    heads = torch.stack(losses)  # (steps, 5)
    results = {"losses": heads.sum(dim=1), "loss_heads": heads, "lrs": torch.tensor(rates, dtype=torch.float64)}
    results["weight_decay"] = torch.tensor(weight_decay, dtype=torch.float64)
    return results | {f"param/{name}": model.state_dict()[name] for name in TRAINED}


def sgd_values(*, dtype: torch.dtype) -> Results:
    """Return ten published-style steps and, below `sgd_filtered/`, three of the other kind.

    The second run decays a hundred times as hard, or exempting a parameter would drown in rounding.
    """
    settings = {"momentum": MOMENTUM, "weight_seed": WEIGHT_SEED, "first_seed": 100, **SCHEDULE}
    results = {name: torch.from_numpy(np.asarray(value)) for name, value in settings.items()}  # int64 or float64
    results |= train(10, weight_decay=5e-4, nesterov=False, exempt_1d=False, dtype=dtype)
    filtered = train(3, weight_decay=0.05, nesterov=True, exempt_1d=True, dtype=dtype)
    return results | {f"sgd_filtered/{name}": value for name, value in filtered.items()}


def deviations(single: dict[str, np.ndarray], double: dict[str, np.ndarray]) -> str:
    """Describe how far float32 is from float64: the worst of each group, relative to the array's largest value."""
    worst: dict[str, float] = {}
    for name, value in single.items():
        if value.dtype == np.float32 and not name.endswith("_absmax"):
            group = name.rpartition("/")[0] or name
            relative = float(np.abs(value - double[name]).max() / (np.abs(double[name]).max() or 1))
            worst[group] = max(worst.get(group, 0.0), relative)
    return ", ".join(f"{group} {value:.1e}" for group, value in worst.items())


def main() -> None:
    """Write every golden file."""
    parser = argparse.ArgumentParser(description="Compute the golden values with PyTorch.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder of the .npz files")
    folder = parser.parse_args().output
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)  # fixed, because it decides the order of sums

    jobs = {f"network_{mode}_{h}x{w}": partial(network_values, mode, h, w, seed) for mode, h, w, seed in NETWORKS}
    for name, compute in {**jobs, "loss": loss_values, "ohem": ohem_values, "sgd": sgd_values}.items():
        single, double = (
            {key: value.detach().numpy() for key, value in compute(dtype=dtype).items()}
            for dtype in (torch.float32, torch.float64)
        )
        path = folder / f"{name}.npz"
        np.savez_compressed(path, **single)
        logger.info("%s: %d bytes", path.name, path.stat().st_size)
        logger.info("    float32 against float64: %s", deviations(single, double))
        for key, value in single.items():
            logger.info("    %-60s %-8s %s", key, value.dtype, value.shape)


if __name__ == "__main__":
    main()
