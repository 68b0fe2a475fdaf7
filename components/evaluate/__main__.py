"""The evaluation stage's command.

python -m components.evaluate cnn
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.evaluate", description="Test one model.")
    parser.add_argument("model", help="a model's name, such as cnn")
    given = begin(parser)

from pathlib import Path

from components.data.arrays import open_split
from components.evaluate.evaluation import evaluation_of
from components.evaluate.stage import evaluate
from components.models import artifact
from components.models.artifact_files import HISTORY
from components.params import params
from components.plots.file_names import TIMINGS
from components.plots.shown import show_curve, show_images
from components.process import allocator, cores
from components.process.command import run


def main(name: str) -> None:
    cores.use()
    allocator.keep_freed()
    settings = params.load()
    paths = settings.paths
    trained = artifact.load(Path(paths.models) / name)
    split = open_split(Path(paths.split) / trained.config.data)
    timing = Path(paths.runs) / TIMINGS / f"{name}.json"
    metrics, plots = Path(paths.metrics) / f"{name}.json", Path(paths.plots) / name
    results = evaluate(trained, split, evaluation_of(settings), metrics, plots, timing)
    show_images(plots, Path(paths.images) / name)
    show_curve(plots / HISTORY, Path(paths.curves) / f"{name}.csv")
    shown = ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{v} {k}" for k, v in results.items())
    print(f"{name} on the test subset: {shown}", flush=True)


if __name__ == "__main__":
    run(lambda: main(given.model))
