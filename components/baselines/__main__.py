"""The baseline stage: simple models without a network, on the same split as the networks that they are compared with.

python -m components.baselines tfidf
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.baselines", description="Fit and test a baseline.")
    parser.add_argument("baseline", help="a baseline's name, such as tfidf")
    given = begin(parser)

import json
from pathlib import Path

from components.data.arrays import open_split
from components.files import whole_folder, write_whole
from components.params import params
from components.params.declarations import BASELINES, declaration
from components.plots.file_names import CONFIG
from components.plots.metric import write_names
from components.process.command import run


def main(name: str) -> None:
    settings = params.load()
    config = settings.entry("baselines", name)
    evaluate = declaration(BASELINES, config.kind, "evaluate", kind="baseline")
    names = declaration(BASELINES, config.kind, "METRICS", kind="baseline")
    paths = settings.paths
    split = open_split(Path(paths.split) / config.data)
    with whole_folder(Path(paths.plots) / name) as folder:
        results = evaluate(config, split, folder)
        write_names(folder, names)
        (folder / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_whole(Path(paths.metrics) / f"{name}.json", json.dumps(results, indent=1) + "\n")
    for kind, own in results.items():
        if isinstance(own, dict):
            shown = ", ".join(f"{accuracy:.4f} with {frequency} counts" for frequency, accuracy in own.items())
            print(f"{name}: {kind.replace('_', ' ')}: accuracy on the test subset {shown}", flush=True)


if __name__ == "__main__":
    run(lambda: main(given.baseline))
