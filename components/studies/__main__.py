"""The study stage: what is measured on a trained model beyond its test.

python -m components.studies reuse
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.studies", description="Study a trained model.")
    parser.add_argument("study", help="a study's name, such as reuse")
    given = begin(parser)

import json
from pathlib import Path

from components.data.arrays import Split, open_split
from components.files import whole_folder, write_whole
from components.models import artifact
from components.params import params
from components.params.declarations import STUDIES, declaration
from components.plots.file_names import CONFIG
from components.plots.metric import write_names
from components.plots.shown import show_images
from components.process.command import run


def main(name: str) -> None:
    settings = params.load()
    config, paths = settings.entry("studies", name), settings.paths
    evaluate = declaration(STUDIES, config.kind, "evaluate", kind="study")
    names = declaration(STUDIES, config.kind, "METRICS", kind="study")

    def models(name: str) -> artifact.Artifact:
        return artifact.load(Path(paths.models) / name)

    def splits(data: str) -> Split:
        return open_split(Path(paths.split) / data)

    with whole_folder(Path(paths.plots) / name) as folder:
        results = evaluate(config, models, splits, folder)
        write_names(folder, names)
        (folder / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    show_images(Path(paths.plots) / name, Path(paths.images) / name)
    write_whole(Path(paths.metrics) / f"{name}.json", json.dumps(results, indent=1) + "\n")
    shown = ", ".join(
        f"{key} {value:.4f}" if isinstance(value, float) else f"{value} {key}" for key, value in results.items()
    )
    print(f"{name}: {shown}", flush=True)


if __name__ == "__main__":
    run(lambda: main(given.study))
