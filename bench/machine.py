"""What six settings of a stage's process are worth on this machine: each with and without, in turns, medians.

    python -m bench.machine [--rounds 5]

Freed memory that is kept, threads that wait briefly, large pages, frozen layers that few images pass at once, and their
batch norms folded into convolutions, and computed in bfloat16 (by default where the CPU multiplies matrices of it).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bench.bare import cnn, transfer
from components.data.arrays import DataSpec
from components.models import pretrained
from components.models.backbones import folded
from components.models.task import load_task, untrained
from components.params import params
from components.process import allocator, openmp

WARM, MEASURED = 2, 10


def timed(step: Callable[[], object]) -> float:
    """Milliseconds of a step, the median of ten after two."""
    seconds = []
    for _ in range(WARM + MEASURED):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM:])


def small_step() -> float:
    """Of the notes' CNN on 128 images."""
    torch.set_num_threads(1)
    model = cnn.network()
    images = torch.rand(128, 1, 28, 28).to(memory_format=torch.channels_last)
    targets = torch.randint(0, 10, (128,))
    return timed(lambda: functional.cross_entropy(model(images), targets).backward())


def two_threads() -> float:
    """Of a separable convolution on two threads."""
    torch.set_num_threads(2)
    net = nn.Sequential(nn.Conv2d(32, 64, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.ReLU())
    images = torch.rand(8, 32, 38, 38)
    return timed(lambda: net(images).square().mean().backward())


def frozen_layers(precision: str = "float32") -> float:
    """Of EfficientNet-Lite0 on 32 images of 300 x 300."""
    config = params.load().sections["transfer"].model_copy(update={"frozen_precision": precision})
    model = untrained(load_task("transfer"), config, DataSpec((3, 300, 300), ("one", "two")), {}).eval()  # type: ignore[arg-type]
    assert isinstance(model, pretrained.Pretrained)
    images = torch.rand(32, 3, 300, 300)
    started = time.perf_counter()
    model.beginning(images)
    return 1000 * (time.perf_counter() - started)


def large_head() -> float:
    """Of the notes' head on flattened features, 12 million weights."""
    torch.set_num_threads(1)
    model = transfer.network(46_080)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    features, targets = torch.rand(32, 46_080), torch.randint(0, 5, (32,))

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(features), targets).backward()
        optimizer.step()

    return timed(step)


MEASURES = {
    "small_step": small_step,
    "two_threads": two_threads,
    "large_head": large_head,
    "frozen_threads": frozen_layers,
    "frozen_layers": frozen_layers,
    "folded_norms": frozen_layers,
    "frozen_bfloat16": frozen_layers,
}
READ_BY_TORCH = {
    "two_threads": {"GOMP_SPINCOUNT": openmp.SPINS},
    "frozen_threads": {"GOMP_SPINCOUNT": openmp.SPINS},
    "large_head": {openmp.LARGE_PAGES: "1"},
}


def measured(name: str, setting: bool) -> float:
    """In a process of its own, since these settings are a process's."""
    command = [sys.executable, "-m", "bench.machine", "--measure", name, *(["--setting"] if setting else [])]
    read = READ_BY_TORCH.get(name, {}) if setting else {}
    done = subprocess.run(command, env={**os.environ, **read}, check=True, capture_output=True, text=True)
    return float(done.stdout)


@contextmanager
def busy() -> Iterator[None]:
    """Beside a process that keeps a core busy."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def compared(said: str, name: str, rounds: int) -> None:
    """Print one line: without, with, and the ratio's median and spread."""
    pairs = [(measured(name, False), measured(name, True)) for _ in range(rounds)]
    without, with_it = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratios = sorted(after / before for before, after in pairs)
    print(
        f"{said}: {without:.1f} ms without, {with_it:.1f} ms with: {np.median(ratios):.2f} of the time "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.machine", description="A stage's process, set and unset.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    parser.add_argument("--setting", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        if arguments.setting and arguments.measure == "small_step":
            allocator.keep_freed()
        if not arguments.setting and arguments.measure == "folded_norms":
            folded._fold = lambda net: 0
        if not arguments.setting and arguments.measure == "frozen_layers":
            pretrained.PIXELS_AT_ONCE = 10**9
        if arguments.setting and arguments.measure == "frozen_bfloat16":
            return print(frozen_layers("bfloat16"))
        return print(MEASURES[arguments.measure]())
    compared("freed memory kept, a CNN's step", "small_step", arguments.rounds)
    compared("threads wait briefly, alone", "two_threads", arguments.rounds)
    with busy():
        compared("threads wait briefly, beside a busy process", "two_threads", arguments.rounds)
        compared("the same, in frozen layers", "frozen_threads", arguments.rounds)
    compared("large pages, a large head's step", "large_head", arguments.rounds)
    compared("few images at once through frozen layers", "frozen_layers", arguments.rounds)
    compared("their batch norms folded", "folded_norms", arguments.rounds)
    compared("in bfloat16", "frozen_bfloat16", arguments.rounds)
    return None


if __name__ == "__main__":
    main()
