"""One model with other values, side by side: which recipe learns best, by its validation rows.

    python -m bench.recipes transfer --source ../shared/mirror/flower_photos.tgz "dense=[]" "schedule=constant ema=0.98"

Through the real stages, in a folder of its own: params.yaml's own values first, then each recipe, key=value pairs apart
by spaces. Medians over the seeds. The test rows are read with --test alone, at the end, once a recipe has been chosen.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from bench.stages import Stages, absolute
from components.models.task import load_task

Figures = dict[str, float]


def changes(recipe: str) -> dict[str, Any]:
    """key=value pairs, as YAML reads the values."""
    pairs = (pair.partition("=") for pair in recipe.split())
    return {key: YAML(typ="safe").load(value) for key, _, value in pairs}


def trained(stages: Stages, model: str, test: bool) -> Figures:
    """The validation metrics of the epoch with the lowest validation loss; with `test` those of the test rows, too."""
    stages.run("components.prepare", model)
    seconds = stages.run("components.train", model)
    history = pd.read_csv(stages.path("models", model, "history.csv"))
    row = min(history.to_dict("records"), key=lambda epoch: epoch["validation_loss"])
    best = {str(key): float(value) for key, value in row.items()}
    found = {key: value for key, value in best.items() if key == "loss" or key.startswith("validation_")}
    if test:
        stages.run("components.evaluate", model)
        found |= {f"test_{key}": value for key, value in stages.metrics(model).items()}
    return {**found, "epoch": best["epoch"], "seconds": seconds}


def compared(stages: Stages, model: str, recipe: str, seeds: int, test: bool) -> str:
    """A line for a recipe."""
    own = dict(stages.entry(model))
    runs = []
    for seed in range(seeds):
        stages.entry(model).update(changes(recipe), seed=seed)
        runs.append(trained(stages, model, test))
    stages.entry(model).clear()
    stages.entry(model).update(own)
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return f"{recipe or 'as it is'}: " + "  ".join(f"{key} {value:.4g}" for key, value in medians.items())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.recipes", description=__doc__)
    parser.add_argument("model", help="the name of an entry of models")
    parser.add_argument("recipes", nargs="*", metavar="recipe", help='such as "dense=[64] dropout=0.3"')
    parser.add_argument("--source", default="sample", help="sample | full | the path of your own files")
    parser.add_argument("-D", "--data", default="", help="of its data set, such as side=64")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", action="store_true", help="test each, too")
    arguments = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        stages, model = Stages(Path(folder)), arguments.model
        entry = stages.entry(model)
        stages.entry(entry["data"]).update(changes(arguments.data))
        stages.from_source(entry["data"], absolute(arguments.source))
        stages.prepare(model)
        print(f"{model} on {arguments.source}, by {load_task(entry['family']).goal.metric}", flush=True)
        for recipe in ("", *arguments.recipes):
            print(compared(stages, model, recipe, arguments.seeds, arguments.test), flush=True)


if __name__ == "__main__":
    main()
