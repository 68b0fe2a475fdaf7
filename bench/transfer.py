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

import pandas as pd

from bench.stages import Stages, absolute


def trained(stages: Stages, stored: bool, seed: int) -> tuple[float, float, pd.Series]:
    """(seconds of the features stage, of the training stage, validation accuracies) of a training from the start."""
    stages.values["transfer"] |= {"store_features": stored, "seed": seed}
    stages.values["paths"]["runs"] = f"runs/{stored}"
    seconds = [stages.run(f"components.{stage}", "transfer") for stage in ("features", "train")]
    history = pd.read_csv(stages.path("models", "transfer", "history.csv"))
    return seconds[0], seconds[1], history["validation_accuracy"]


def compared(stages: Stages, seeds: int) -> None:
    """Train with stored features for each seed, without them once, and print both."""
    runs = [(True, seed) for seed in range(seeds)] + [(False, 0)]
    best: dict[bool, list[float]] = {True: [], False: []}
    spent: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for stored, seed in runs:
        features, training, accuracies = trained(stages, stored, seed)
        best[stored].append(accuracies.max())
        spent[stored].append((features, training))
        print(
            f"features {'' if stored else 'not '}stored, seed {seed}: validation accuracy {best[stored][-1]:.4f}; "
            f"features stage {features:.1f} s, training {training:.1f} s",
            flush=True,
        )
    print(f"validation accuracy {statistics.median(best[True]):.4f}, median of {seeds} seeds")
    training = spent[False][0][1] / statistics.median(t for _, t in spent[True])
    whole = sum(spent[False][0]) / statistics.median(f + t for f, t in spent[True])
    print(f"without stored features training takes {training:.1f} times as long; both stages {whole:.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.transfer", description=__doc__)
    parser.add_argument("--source", default="full", help="as flowers.source in params.yaml")
    parser.add_argument("--weights", default="hub", help="as transfer.weights in params.yaml")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(Path(folder))
        stages.values["flowers"]["source"] = absolute(arguments.source)
        stages.values["transfer"] |= {
            "backbone": "vgg16.tv_in1k",
            "weights": absolute(arguments.weights),
            "epochs": arguments.epochs,
        }
        for command in (("data.download", "flowers"), ("data.split", "flowers"), ("weights", "transfer")):
            stages.run(f"components.{command[0]}", command[1])
        compared(stages, arguments.seeds)


if __name__ == "__main__":
    main()
