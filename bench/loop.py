"""The training loop beside a bare PyTorch loop of the same network, in turns: how much of its speed is left.

    python -m bench.loop [--examples 12000] [--rounds 5]

On random images, since speed does not depend on what they show. Epochs after the first of each turn count.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bench.bare import autoencoder, cnn
from components import params
from components.data.loaders import Split, open_split, save_split
from components.loop import fit
from components.task import load_task

BARE: dict[str, Callable[..., list[float]]] = {"cnn": cnn.epochs, "autoencoder": autoencoder.epochs}
EPOCHS = 3  # a turn, of which the first does not count


def digits(folder: Path, examples: int) -> Split:
    """Random images in MNIST's shape; a fifth validates."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (examples, 1, 28, 28), dtype=np.uint8)
    rows = np.arange(examples)
    ends = examples - examples // 5
    save_split(
        folder,
        {"inputs": images, "targets": random.integers(0, 10, examples)},
        {"train": rows[:ends], "validation": rows[ends:], "test": rows[:0]},
        tuple(map(str, range(10))),
    )
    return open_split(folder)


def real(name: str, split: Split) -> list[float]:
    """Seconds of each epoch, by the project's loop with what params.yaml holds."""
    config = params.load().sections[name].model_copy(update={"epochs": EPOCHS})
    seconds: list[float] = []
    fit(load_task(name), config, split, torch.device("cpu"), lambda metrics, _: seconds.append(metrics["seconds"]))  # type: ignore[arg-type]
    return seconds


def bare(name: str, split: Split) -> list[float]:
    images, targets = (torch.from_numpy(np.array(split.arrays[key])) for key in ("inputs", "targets"))
    train, held_out = (torch.from_numpy(split.rows[part]) for part in ("train", "validation"))
    return BARE[name](images[train], targets[train], images[held_out], targets[held_out], EPOCHS)


def compared(name: str, split: Split, threads: int, rounds: int) -> str:
    """One line: medians over the rounds, and the spread of the ratio."""
    both = [(statistics.mean(bare(name, split)[1:]), statistics.mean(real(name, split)[1:])) for _ in range(rounds)]
    ratios = sorted(without / own for without, own in both)
    without, own = (statistics.median(each) for each in zip(*both, strict=True))
    return (
        f"{name}, {threads} thread{'s' if threads > 1 else ''}: {own:.2f} s an epoch, bare {without:.2f} s: "
        f"{statistics.median(ratios):.2f} of its speed ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.loop", description="The loop beside a bare one.")
    parser.add_argument("--examples", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        split = digits(Path(folder), arguments.examples)
        for threads in dict.fromkeys((1, torch.get_num_threads())):
            torch.set_num_threads(threads)
            for name in BARE:
                print(compared(name, split, threads, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
