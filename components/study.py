"""The study stage: what is measured on a trained model beyond its test.

python -m components.study reuse
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from components.process import end_with_starter, set_for_torch

    end_with_starter()
    set_for_torch()

import argparse
import json
from pathlib import Path

from components import artifact, params
from components.baseline import CONFIG
from components.data.loaders import open_split
from components.declarations import STUDIES, declaration
from components.files import whole_folder, write_whole
from components.metric import write_names


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.study", description="Study a trained model.")
    parser.add_argument("study", help="a study's name, such as reuse")
    name = parser.parse_args().study
    settings = params.load()
    evaluate = declaration(STUDIES, name, "evaluate", kind="study")
    names = declaration(STUDIES, name, "METRICS", kind="study")
    config, paths = settings.sections[name], settings.paths
    trained = artifact.load(Path(paths.models) / config.model)  # type: ignore[attr-defined]
    with whole_folder(Path(paths.plots) / name) as folder:
        found = evaluate(config, trained, lambda data: open_split(Path(paths.split) / data), folder)
        write_names(folder, names)
        (folder / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_whole(Path(paths.metrics) / f"{name}.json", json.dumps(found, indent=1) + "\n")
    shown = ", ".join(
        f"{key} {value:.4f}" if isinstance(value, float) else f"{value} {key}" for key, value in found.items()
    )
    print(f"{name}: {shown}", flush=True)


if __name__ == "__main__":
    params.run(main)
