"""The training loop beside a bare PyTorch loop of the same network, in turns: how much of its speed is left.

    python -m bench.loop [--examples 12000] [--rounds 5] [model ...]

On random images, texts and features, since speed does not depend on what they show. Of each turn the epochs after the
first count.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.bare import autoencoder, cnn, lstm, transfer, vae
from components.data.arrays import Split, open_split, save_split
from components.data.kinds.texts import Config as Texts
from components.data.text.vocabulary import Text
from components.models.task import load_task
from components.params import params
from components.process import allocator, cores
from components.train.loop import fit

BARE: dict[str, Callable[..., list[float]]] = {
    "cnn": cnn.epochs,
    "autoencoder": autoencoder.epochs,
    "vae": vae.epochs,
    "lstm": lstm.epochs,
    "transfer": transfer.epochs,
}
AS_BARE: dict[str, dict[str, Any]] = {
    "lstm": {"encoding": "embedding"},
    "transfer": {"pooling": "none", "dense": (260, 100), "schedule": "constant"},
}
EPOCHS = 3  # a turn, of which the first does not count
WORDS, LONGEST = 20_000, 400


def saved(
    folder: Path, inputs: np.ndarray, classes: int, others: Mapping[str, np.ndarray] | None = None, **described: Any
) -> Split:
    """A split of these inputs with random targets, in place of what is in the folder; a fifth validates."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows, ends = np.arange(len(inputs)), len(inputs) - len(inputs) // 5
    targets = np.random.default_rng(1).integers(0, classes, len(inputs))
    save_split(
        folder,
        {"inputs": inputs, "targets": targets, **(others or {})},
        {"train": rows[:ends], "validation": rows[ends:], "test": rows[:0]},
        tuple(map(str, range(classes))),
        **described,
    )
    return open_split(folder)


def digits(folder: Path, examples: int) -> Split:
    """Random images in MNIST's shape."""
    return saved(folder, np.random.default_rng(0).integers(0, 256, (examples, 1, 28, 28), dtype=np.uint8), 10)


def texts(folder: Path, examples: int) -> Split:
    """Random words, of lengths as reviews have them: a median of 80 words, and one in twenty is cut at 400."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(4.4, 1.0, examples), 1, LONGEST).astype(np.int32)
    inputs = random.integers(2, WORDS, (examples, LONGEST), dtype=np.int32)
    inputs[np.arange(LONGEST) >= lengths[:, None]] = 0
    reviews = params.load().sections["reviews"]
    assert isinstance(reviews, Texts)
    words = tuple(f"word{number}" for number in range(WORDS - 2))
    text = Text(words, (1,) * len(words), reviews.steps, LONGEST, "end")
    return saved(folder, inputs, 2, {"lengths": lengths}, text=text)


def features(folder: Path, examples: int) -> Split:
    """Random features in the shape of EfficientNet-Lite0's for an image of 180 x 180."""
    inputs = np.random.default_rng(0).random((examples, 1280, 6, 6), dtype=np.float32)
    return saved(folder, inputs, 5, images=(3, 180, 180))


def split_of(name: str, folder: Path, examples: int) -> Split:
    """What model `name` trains on. Of texts and features, which take longer, there are fewer."""
    if name == "lstm":
        return texts(folder, examples // 8)
    return features(folder, examples // 16) if name == "transfer" else digits(folder, examples)


def real(name: str, split: Split) -> list[float]:
    """Seconds of each epoch, by the project's loop with what params.yaml holds, but for AS_BARE."""
    config = params.load().sections[name].model_copy(update={"epochs": EPOCHS, **AS_BARE.get(name, {})})
    seconds: list[float] = []
    fit(load_task(name), config, split, torch.device("cpu"), lambda metrics, _: seconds.append(metrics["seconds"]))  # type: ignore[arg-type]
    return seconds


def bare(name: str, split: Split) -> list[float]:
    inputs, targets = (torch.from_numpy(np.array(split.arrays[key])) for key in ("inputs", "targets"))
    train, held_out = (torch.from_numpy(split.rows[part]) for part in ("train", "validation"))
    return BARE[name](inputs[train], targets[train], inputs[held_out], targets[held_out], EPOCHS)


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
    parser.add_argument("models", nargs="*", metavar="model", help=f"of {', '.join(BARE)}; all, if none is named")
    arguments = parser.parse_args()
    if unknown := set(arguments.models) - set(BARE):
        parser.error(f"there is no bare loop of {', '.join(sorted(unknown))}; there are: {', '.join(BARE)}")
    allocator.keep_freed()
    for name in arguments.models or BARE:
        with tempfile.TemporaryDirectory() as folder:
            split = split_of(name, Path(folder), arguments.examples)
            for threads in dict.fromkeys((1, cores.given())):
                torch.set_num_threads(threads)
                print(compared(name, split, threads, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
