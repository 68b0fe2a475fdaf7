"""The course notes' CNN on full MNIST: test accuracy over seeds, on one worker and on two.

    python -m bench.mnist [--source full]      full: the published files; or their address, folder or archive

Head split, batch 128, 10 epochs, Adam, as in the notes, through the real stages under Ray.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from bench.stages import Stages, absolute


def prepared(folder: Path, source: str) -> Stages:
    """Stages with MNIST split as in the notes."""
    stages = Stages(folder)
    stages.entry("mnist")["split"] = {"method": "head"}
    stages.from_source("mnist", source)
    return stages


def accuracy(stages: Stages, seed: int, workers: int) -> float:
    """Test accuracy of one training from the start."""
    stages.entry("cnn")["seed"] = seed
    # Runs of another number of workers share the key: each starts in a scratch folder of its own.
    stages.values["paths"]["runs"] = f"runs/{workers}"
    stages.prepare("cnn")
    stages.run("components.train", "cnn", TRAINYARD_WORKERS=str(workers))
    stages.run("components.evaluate", "cnn")
    return stages.metrics("cnn")["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mnist", description=__doc__)
    parser.add_argument("--source", default="full", help="sample | full | the path of your own files")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stages = prepared(Path(folder), absolute(arguments.source))
        for workers in (1, 2):
            found = []
            for seed in range(arguments.seeds):
                found.append(accuracy(stages, seed, workers))
                print(f"workers {workers}, seed {seed}: {found[-1]:.4f}", flush=True)
            median = statistics.median(found)
            print(f"workers {workers}: test accuracy {median:.4f}, median of {len(found)}", flush=True)


if __name__ == "__main__":
    main()
