"""The evaluation stage's command.

python -m components.evaluate cnn
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from components.process import end_with_starter, set_for_torch

    end_with_starter()
    set_for_torch()

import argparse
from pathlib import Path

from components import allocator, artifact, cores, params
from components.data.loaders import open_split
from components.evaluate.stage import TIMINGS, evaluate


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.evaluate", description="Test one model.")
    parser.add_argument("task", help="a model's name, such as cnn")
    name = parser.parse_args().task
    cores.use()
    allocator.keep_freed()
    paths = params.load().paths
    trained = artifact.load(Path(paths.models) / name)
    split = open_split(Path(paths.split) / trained.config.data)
    timing = Path(paths.runs) / TIMINGS / f"{name}.json"
    found = evaluate(trained, split, Path(paths.metrics) / f"{name}.json", Path(paths.plots) / name, timing)
    shown = ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{v} {k}" for k, v in found.items())
    print(f"{name} on the test part: {shown}", flush=True)


if __name__ == "__main__":
    params.run(main)
