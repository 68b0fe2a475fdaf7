"""The baseline stage: simple models without a network, on the same split as the networks that they are compared with.

python -m components.baseline tfidf
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from components.process import end_with_starter

    end_with_starter()

import argparse
import json
from pathlib import Path

from components import params
from components.data.loaders import open_split
from components.declarations import BASELINES, declaration
from components.files import whole_folder, write_whole
from components.metric import write_names

CONFIG = "config.json"  # among the plots: the section that they are of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.baseline", description="Fit and test a baseline.")
    parser.add_argument("baseline", help="a baseline's name, such as tfidf")
    name = parser.parse_args().baseline
    settings = params.load()
    evaluate = declaration(BASELINES, name, "evaluate", kind="baseline")
    names = declaration(BASELINES, name, "METRICS", kind="baseline")
    config = settings.sections[name]
    paths = settings.paths
    split = open_split(Path(paths.split) / config.data)  # type: ignore[attr-defined]
    with whole_folder(Path(paths.plots) / name) as folder:
        found = evaluate(config, split, folder)
        write_names(folder, names)
        (folder / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_whole(Path(paths.metrics) / f"{name}.json", json.dumps(found, indent=1) + "\n")
    for kind, own in found.items():
        if isinstance(own, dict):
            shown = ", ".join(f"{accuracy:.4f} with {frequency} counts" for frequency, accuracy in own.items())
            print(f"{name}: {kind.replace('_', ' ')}: accuracy on the test part {shown}", flush=True)


if __name__ == "__main__":
    params.run(main)
