"""The text stage's command.

python -m components.data.text reviews
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.data.text", description="Make words of texts.")
    parser.add_argument("dataset", help="the name of a data set of texts, such as reviews")
    given = begin(parser)

from pathlib import Path

from components.data.text.stage import prepare
from components.made_once import NOTES
from components.params import params
from components.process.command import run


def main(name: str) -> None:
    settings = params.load()
    paths = settings.paths
    raw, target, plots = (Path(top) / name for top in (paths.raw, paths.text, paths.plots))
    notes = Path(paths.runs) / NOTES / f"text@{name}"
    prepare(name, settings, raw, target, plots, Path(paths.metrics) / f"{name}.json", notes)


if __name__ == "__main__":
    run(lambda: main(given.dataset))
