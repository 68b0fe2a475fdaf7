"""The course notes' VGG16 on flowers: what it reaches, and what stored features save.

    python -m bench.transfer [--source full] [--weights hub]      or the addresses of what you have

All of VGG16 frozen, dense 260 and 100, Adam at 0.001, batch 32 and the committed dropout, through the real stages under
Ray: with the trunk's outputs stored for each seed, and once with the trunk in every epoch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench.stages import Stages, absolute

NOTES = {"pooling": "none", "dense": [260, 100], "schedule": "constant"}


class Run(NamedTuple):
    """One training from the start: seconds of the stage `prepare` and of the epochs; the best validation accuracy."""

    features: float
    epochs: float
    accuracy: float


def trained(stages: Stages, stored: bool, seed: int) -> Run:
    stages.entry("transfer").update(store_features=stored, seed=seed)
    stages.values["paths"]["runs"] = f"runs/{stored}"
    features = stages.run("components.prepare", "transfer")
    stages.run("components.train", "transfer")
    history = pd.read_csv(stages.path("models", "transfer", "history.csv"))
    run = Run(features, stages.seconds_of_epochs(), history["validation_accuracy"].max())
    print(
        f"features {'' if stored else 'not '}stored, seed {seed}: validation accuracy {run.accuracy:.4f}; "
        f"prepared in {run.features:.1f} s, {len(history)} epochs {run.epochs:.1f} s",
        flush=True,
    )
    return run


def compared(stages: Stages, seeds: int) -> None:
    """Train with stored features for each seed, without them once, and print what differs."""
    stored = [trained(stages, True, seed) for seed in range(seeds)]
    without = trained(stages, False, 0)
    print(f"validation accuracy {statistics.median(run.accuracy for run in stored):.4f}, median of {seeds} seeds")
    epochs = statistics.median(run.epochs for run in stored)
    # Without anything to store, the stage `prepare` only starts and looks.
    trunk = statistics.median(run.features for run in stored) - without.features
    print(f"the trunk's one pass takes {trunk:.1f} s")
    print(
        f"without stored features the epochs take {without.epochs / epochs:.1f} times as long; "
        f"as the epochs and that pass together {without.epochs / (epochs + trunk):.1f} times"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.transfer", description=__doc__)
    parser.add_argument("--source", default="full", help="sample | full | the path of your own files")
    parser.add_argument("--weights", default="hub", help="as weights of an entry of backbones")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(Path(folder))
        stages.values["backbones"]["vgg16"] = {"timm": "vgg16.tv_in1k", "weights": absolute(arguments.weights)}
        stages.entry("transfer").update(start="vgg16", epochs=arguments.epochs, **NOTES)
        stages.from_source("flowers", absolute(arguments.source))
        stages.run("components.prepare.weights", "vgg16")
        compared(stages, arguments.seeds)


if __name__ == "__main__":
    main()
