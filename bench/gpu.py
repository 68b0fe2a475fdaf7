"""Seconds an epoch on a GPU, by bare loops: as they are, compiled, by CUDA graphs, and where the data lie.

    python -m bench.gpu [--device cuda] [--examples 48000] [--epochs 3] [--ways eager compiled graphs] [model ...]

torch and numpy alone, so that it runs wherever these are. Also says how near the card's limits a step comes: its
floating-point operations (torch's own count) by the rate of a large matrix product, or the bytes of its weights by the
rate of a large copy, whichever is the larger fraction.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from bench.bare import autoencoder, cnn, lstm, transfer, vae

WORDS, LENGTH = 20_000, 200
FEATURES = (1280, 6, 6)
# Over the weights in a step: forward, backward, gradients written and read, and Adam's three arrays read and written.
PASSES = 10
WAYS = ("eager", "compiled", "graphs")
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Family:
    """A network, its batch size, its inputs (examples → as they are stored) and its loss of a batch."""

    network: Callable[[], nn.Module]
    batch: int
    inputs: Callable[[int], Tensor]
    loss: Loss
    fraction: float = 1.0  # of the examples asked for: some have fewer


def images(examples: int) -> Tensor:
    return torch.randint(0, 256, (examples, 1, 28, 28), dtype=torch.uint8)


def texts(examples: int) -> Tensor:
    """All of one length: a batch of the real loop's has about one."""
    return torch.randint(2, WORDS, (examples, LENGTH), dtype=torch.int32)


def features(examples: int) -> Tensor:
    return torch.rand(examples, *FEATURES)


def classified(prepared: Callable[[Tensor], Tensor], model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(model(prepared(inputs)), targets)


def pixels(inputs: Tensor) -> Tensor:
    return inputs.to(torch.float32, memory_format=torch.channels_last).div_(255)


def rebuilt(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    values = inputs.flatten(1).float() / 255
    return functional.binary_cross_entropy_with_logits(model(values), values)


def denoised(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    values = inputs.flatten(1).float() / 255
    noisy = (values + 0.3 * torch.randn_like(values)).clamp(0, 1)
    return functional.binary_cross_entropy_with_logits(model(noisy), values)


def encoded(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    values = inputs.flatten(1).float() / 255
    drawn = (torch.rand_like(values) < values).float()
    return vae.loss(drawn, *model(drawn))


FAMILIES = {
    "cnn": Family(cnn.network, cnn.BATCH, images, partial(classified, pixels)),
    "autoencoder": Family(autoencoder.network, autoencoder.BATCH, images, rebuilt),
    "denoising": Family(autoencoder.network, autoencoder.BATCH, images, denoised),
    "vae": Family(vae.Network, vae.BATCH, images, encoded),
    "lstm": Family(partial(lstm.Network, WORDS), lstm.BATCH, texts, partial(classified, Tensor.long), 0.125),
    "transfer": Family(
        partial(transfer.network, FEATURES[0] * FEATURES[1] * FEATURES[2]),
        transfer.BATCH,
        features,
        partial(classified, partial(torch.flatten, start_dim=1)),
        0.0625,
    ),
}


def waited(device: torch.device) -> float:
    """The time when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def matmul_rate(device: torch.device, side: int) -> float:
    """Floating-point operations a second of a float32 matrix product, as torch computes it by default."""
    one = torch.rand(side, side, device=device)
    return 2 * side**3 / _seconds(lambda: one @ one, device)


def copy_rate(device: torch.device, count: int) -> float:
    """Bytes a second, read and written, of a copy of `count` float32 numbers."""
    one, other = torch.rand(count, device=device), torch.empty(count, device=device)
    return 2 * 4 * count / _seconds(lambda: other.copy_(one), device)


def _seconds(call: Callable[[], Any], device: torch.device, times: int = 5) -> float:
    call()
    taken = []
    for _ in range(times):
        started = waited(device)
        call()
        taken.append(waited(device) - started)
    return statistics.median(taken)


def operations(family: Family, device: torch.device) -> int:
    """Of one training step."""
    model = family.network().to(device)
    inputs, targets = family.inputs(family.batch).to(device), torch.zeros(family.batch, dtype=torch.int64).to(device)
    with FlopCounterMode(display=False) as counter:
        family.loss(model, inputs, targets).backward()
    return int(counter.get_total_flops())


def epochs(family: Family, device: torch.device, way: str, on_device: bool, examples: int, count: int) -> list[float]:
    """Seconds of each epoch of whole batches. The data lie on the device, or in the host's memory.

    way: "eager", "compiled" or "graphs" (compiled, with CUDA graphs).
    """
    torch.manual_seed(0)
    model = family.network().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    inputs, targets = family.inputs(examples), torch.randint(0, 2, (examples,))
    if on_device:
        inputs, targets = inputs.to(device), targets.to(device)
    loss = family.loss
    if way != "eager":
        torch.compiler.reset()
        loss = torch.compile(loss, dynamic=False, mode="reduce-overhead" if way == "graphs" else "default")
    seconds = []
    for _ in range(count):
        started = waited(device)
        order = torch.randperm(examples, device=inputs.device)
        for rows in order[: examples // family.batch * family.batch].split(family.batch):
            batch = (inputs.index_select(0, rows), targets.index_select(0, rows))
            taken, answers = (each.to(device, non_blocking=True) for each in batch)
            optimizer.zero_grad()
            loss(model, taken, answers).backward()
            optimizer.step()
        seconds.append(waited(device) - started)
    return seconds


def measured(name: str, family: Family, device: torch.device, ways: list[str], examples: int, count: int) -> list[str]:
    """Lines of the table."""
    examples = max(family.batch, int(examples * family.fraction))
    steps = examples // family.batch
    large = device.type == "cuda"
    per_step = operations(family, device) / matmul_rate(device, 8192 if large else 512)
    weights = sum(p.numel() for p in family.network().parameters())
    moved = 4 * PASSES * weights / copy_rate(device, 2**28 if large else 2**22)
    lines = []
    for way in ways:
        for on_device in (True, False) if way == "eager" and large else (large,):
            own = statistics.median(epochs(family, device, way, on_device, examples, count)[1:])
            fraction = steps * max(per_step, moved) / own
            limit = "matrix products" if per_step > moved else "copies"
            where = "device" if on_device else "host"
            lines.append(
                f"| {name} | {way} | {where} | {own:.3f} | {1e6 * own / steps:,.0f} | {fraction:.2f} of {limit} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="Seconds an epoch on a GPU.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--examples", type=int, default=48_000)
    parser.add_argument("--epochs", type=int, default=4, help="2 or more; the first, which compiles, does not count")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("models", nargs="*", metavar="model", help=f"of {', '.join(FAMILIES)}; all, if none is named")
    given = parser.parse_args()
    if unknown := set(given.models) - set(FAMILIES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(FAMILIES)}")
    if given.epochs < 2:
        parser.error(f"--epochs {given.epochs}: the first does not count; ask for 2 or more")
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --device cpu measures the CPU")
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads")
    print(f"torch {torch.__version__}, {given.examples:,} examples, epochs after the first, median\n")
    print(
        "| model | way | data on | seconds an epoch | microseconds a step | of the limit |\n|---|---|---|---|---|---|"
    )
    for name in given.models or FAMILIES:
        print(*measured(name, FAMILIES[name], device, given.ways, given.examples, given.epochs), sep="\n", flush=True)


if __name__ == "__main__":
    main()
