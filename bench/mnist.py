"""The course notes' CNN on full MNIST: test accuracy over seeds, on one worker and on two.

    python -m bench.mnist [--source full]      full: the published files; or their address, folder or archive

Head split, batch 128, 10 epochs, Adam, as in the notes, through the real stages under Ray.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

REPO = Path(__file__).resolve().parent.parent


class Bench:
    """A folder of its own with a params.yaml, in which stages run."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        self.values: dict[str, Any] = YAML(typ="safe").load((REPO / "params.yaml").read_text())
        self.values["mnist"]["source"] = source
        self.values["mnist"]["split"]["method"] = "head"
        self.stage("components.data.download", "mnist")
        self.stage("components.data.split", "mnist")

    def stage(self, *command: str, **environment: str) -> None:
        """Run one stage with the current values."""
        YAML(typ="safe").dump(self.values, self.folder / "params.yaml")
        everything = {**os.environ, "PYTHONPATH": str(REPO), **environment}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=self.folder, env=everything, check=False, stdout=subprocess.DEVNULL
        )
        if done.returncode:
            sys.exit(done.returncode)

    def accuracy(self, seed: int, workers: int) -> float:
        """Test accuracy of one training from the start."""
        self.values["cnn"]["seed"] = seed
        # Runs of another number of workers share the key: each starts in a scratch folder of its own.
        self.values["paths"]["runs"] = f"runs/{workers}"
        self.stage("components.train", "cnn", TRAINYARD_WORKERS=str(workers))
        self.stage("components.evaluate", "cnn")
        metrics = self.folder / self.values["paths"]["metrics"] / "cnn.json"
        return float(json.loads(metrics.read_text())["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mnist", description=__doc__)
    parser.add_argument("--source", default="full", help="as mnist.source in params.yaml")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    source = str(Path(arguments.source).resolve()) if Path(arguments.source).exists() else arguments.source
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), source)
        for workers in (1, 2):
            found = []
            for seed in range(arguments.seeds):
                started = time.monotonic()
                found.append(bench.accuracy(seed, workers))
                seconds = time.monotonic() - started
                print(f"workers {workers}, seed {seed}: {found[-1]:.4f}, {seconds:.0f} s", flush=True)
            median = statistics.median(found)
            print(f"workers {workers}: test accuracy {median:.4f}, median of {len(found)}", flush=True)


if __name__ == "__main__":
    main()
