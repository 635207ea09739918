"""PyTorch's side of the benchmark: a child process without MindSpore, see `tools/benchmark/worker.py`.

The network is that of the golden values in tests/golden; it runs eagerly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tools.benchmark.worker import ROOT, Commands, serve, step_commands

sys.path.insert(0, str(ROOT / "tests" / "golden"))

import torch
from torch import Tensor, nn
from torch_network import HEADS, NUM_CLASSES, BiSeNetV2, cross_entropies, resize

AUX_PREFIXES = tuple(HEADS[1:])


def build(*, kind: str, threads: int, network: Mapping, **spec: object) -> tuple[dict, Commands]:
    """Make the commands of one kind of work.

    Args:
        kind: a key of `WORK`.
        threads: threads of the CPU kernels.
        network: arguments of the network.
        spec: further arguments of this kind.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return {}, WORK[kind](BiSeNetV2(**network), **spec)


def main_logits(network: BiSeNetV2, image: Tensor) -> Tensor:
    """Return the logits of the main head alone: (N, 3, H, W) to (N, classes, H, W)."""
    feature = image
    for stage in network.segment:  # ends with the context embedding
        feature = stage(feature)
    logits = network.head(network.bga(network.detail(image), feature))
    return resize(logits, image.shape[2:], "bilinear")


def forward(network: BiSeNetV2, *, shape: Sequence[int], variant: str) -> Commands:
    """Run the evaluation network; `variant` may name 'class map' for classes, and 'channels last' for the layout."""
    layout = torch.channels_last if "channels last" in variant else torch.contiguous_format
    network = network.eval().to(memory_format=layout)
    image = torch.randn(*shape).contiguous(memory_format=layout)

    @torch.inference_mode()
    def step() -> Tensor:
        logits = main_logits(network, image)
        return logits.argmax(1) if "class map" in variant else logits

    return step_commands(step)


def train_step(network: BiSeNetV2, *, shape: Sequence[int], training: Mapping, variant: str | None = None) -> Commands:
    """Run forward, loss of five heads, backward and SGD on one random batch.

    Args:
        network: the network to train.
        shape: shape of the images, (N, 3, H, W).
        training: settings of loss and optimizer.
        variant: 'channels last' or None.
    """
    layout = torch.channels_last if variant == "channels last" else torch.contiguous_format
    network = network.train().to(memory_format=layout)
    image = torch.randn(*shape).contiguous(memory_format=layout)
    label = torch.randint(NUM_CLASSES, (shape[0], *shape[2:]))
    class_weights, loss_weight = torch.tensor(training["class_weights"]), torch.tensor(training["loss_weight"])
    optimizer = torch.optim.SGD(network.parameters(), **training["sgd"])

    def step() -> float:
        optimizer.zero_grad()
        loss = (cross_entropies(network(image), label, class_weights) * loss_weight).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step_commands(step)


def model(network: BiSeNetV2) -> Commands:
    """Count parameters and multiply-adds."""
    network.eval()  # one image is too few for batch statistics

    def count(shape: Sequence[int], aux_heads: bool) -> dict:
        used = [p for name, p in network.named_parameters() if aux_heads or not name.startswith(AUX_PREFIXES)]
        run = network if aux_heads else partial(main_logits, network)
        return {"parameters": sum(p.numel() for p in used), "macs": count_macs(network, run, torch.zeros(*shape))}

    return {"count": count}


def count_macs(network: nn.Module, run: Callable[[Tensor], object], image: Tensor) -> int:
    """Return the multiply-adds of the convolutions that ``run(image)`` uses, counted as on MindSpore's side."""
    counts = []

    def note(conv: nn.Conv2d, _inputs: tuple, output: Tensor) -> None:
        counts.append(output.numel() // output.shape[1] * conv.weight.numel())

    handles = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.inference_mode():
        run(image)
    for handle in handles:
        handle.remove()
    return sum(counts)


WORK: dict[str, Callable[..., Commands]] = {
    "forward": forward,
    "exported": forward,
    "train": train_step,
    "model": model,
}

if __name__ == "__main__":
    serve(build)
