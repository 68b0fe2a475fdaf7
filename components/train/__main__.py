"""The training stage's command.

    python -m components.train cnn

RAY_ADDRESS joins a cluster; TRAINYARD_WORKERS asks for several workers.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.train", description="Train one model.")
    parser.add_argument("model", help="a model's name, such as cnn")
    given = begin(parser)

import sys
from pathlib import Path

from components.errors import TrainingError
from components.models.task import load_task
from components.params import params
from components.prepare.stage import training_split
from components.prepare.start import resolved, weights_folder
from components.process import allocator, cores
from components.process.command import run
from components.train.training import INTERRUPTED, train


def main(name: str) -> None:
    settings = params.load()
    config = resolved(settings, name)
    task = load_task(config.family, name)
    cores.use(one=not config.quicker_on_all)
    allocator.keep_freed()
    split = training_split(settings.paths, name, config)
    weights = weights_folder(settings, name)
    runs = Path(settings.paths.runs) / f"train@{name}"
    try:
        train(task, config, split, runs, Path(settings.paths.models) / name, weights)
    except TrainingError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print(f"{name}: stopped; the same command goes on after the last finished epoch", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    run(lambda: main(given.model))
