"""The course notes' VGG16 on flowers: what it reaches, and what stored features save.

    python -m bench.transfer [--source full] [--weights hub]      or the addresses of what you have

All of VGG16 frozen, dense 260 and 100, Adam at 0.001, batch 32, through the real stages under Ray: once with the
trunk's outputs stored, once with the trunk in every epoch.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from bench.stages import Stages, absolute


def trained(stages: Stages, stored: bool) -> tuple[float, float, pd.Series]:
    """(seconds of the features stage, of the training stage, validation accuracies) of a training from the start."""
    stages.values["transfer"]["store_features"] = stored
    stages.values["paths"]["runs"] = f"runs/{stored}"
    seconds = [stages.run(f"components.{stage}", "transfer") for stage in ("features", "train")]
    history = pd.read_csv(stages.path("models", "transfer", "history.csv"))
    return seconds[0], seconds[1], history["validation_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.transfer", description=__doc__)
    parser.add_argument("--source", default="full", help="as flowers.source in params.yaml")
    parser.add_argument("--weights", default="hub", help="as transfer.weights in params.yaml")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(Path(folder))
        stages.values["flowers"]["source"] = absolute(arguments.source)
        stages.values["transfer"] |= {
            "backbone": "vgg16.tv_in1k",
            "weights": absolute(arguments.weights),
            "epochs": arguments.epochs,
        }
        for command in ("data.download flowers", "data.split flowers", "weights transfer"):
            stages.run(f"components.{command.split()[0]}", command.split()[1])
        whole = {}
        for stored in (True, False):
            features, training, accuracies = trained(stages, stored)
            whole[stored] = features + training
            print(
                f"features {'stored' if stored else 'not stored'}: validation accuracy {accuracies.max():.4f} at best, "
                f"{accuracies.iloc[-1]:.4f} at last; features stage {features:.1f} s, "
                f"training of {arguments.epochs} epochs {training:.1f} s",
                flush=True,
            )
        print(f"both stages without stored features take {whole[False] / whole[True]:.1f} times as long")


if __name__ == "__main__":
    main()
