"""The stage `preprocess`: images decoded, texts made words; made once for the values that it reads.

python -m components.data.preprocess mnist
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.data.preprocess", description="Decode a data set.")
    parser.add_argument("dataset", help="the name of an entry of data, such as mnist")
    given = begin(parser)

import hashlib
import json
import shutil
from pathlib import Path

from components.data.kind import DataConfig, load_kind
from components.data.preprocessed import FIGURES, PLOTS
from components.files import digest_of, whole_folder, write_whole
from components.made_once import NOTES, made_once
from components.params import params
from components.process.command import run

STEP = "preprocess"


def preprocess(name: str, settings: params.Params, raw: Path, target: Path, notes: Path | None = None) -> None:
    """Write the folder `target` from the folder `raw`.

    notes: the folder of notes on what was made before.
    Raises UserError when files cannot be read, or too many of them; then nothing is written.
    """
    config: DataConfig = settings.entry("data", name)
    said: list[str] = []

    def make(folder: Path) -> None:
        said.extend(load_kind(config.kind).preprocess(config, raw, folder))

    key = _key(config, raw, Path(settings.paths.code) / STEP / name) if notes else ""  # reads every file
    if not made_once(target, notes, key, make):
        said.append("as it was preprocessed before")
    for line in said:
        print(f"{name}: {line}", flush=True)


def _key(config: DataConfig, raw: Path, code: Path) -> str:
    """Of all that the folder is made of."""
    values = config.model_dump(mode="json", exclude={*config.read_later(), "source"})
    made_by = code.read_text(encoding="utf-8") if code.is_file() else ""
    files = {str(file.relative_to(raw)): digest_of(file) for file in sorted(raw.rglob("*")) if file.is_file()}
    return hashlib.sha256(json.dumps([values, config.split.seed, files, made_by]).encode()).hexdigest()[:16]


def share(target: Path, plots: Path, metrics: Path) -> None:
    """Leave tables and figures of a preprocessed data set where those of all stages are."""
    with whole_folder(plots) as folder:
        if (target / PLOTS).is_dir():
            shutil.copytree(target / PLOTS, folder, dirs_exist_ok=True)
    write_whole(metrics, (target / FIGURES).read_text(encoding="utf-8"))


def main(name: str) -> None:
    settings = params.load()
    paths = settings.paths
    target = Path(paths.preprocessed) / name
    preprocess(name, settings, Path(paths.raw) / name, target, Path(paths.runs) / NOTES / f"{STEP}@{name}")
    share(target, Path(paths.plots) / name, Path(paths.metrics) / f"{name}.json")


if __name__ == "__main__":
    run(lambda: main(given.dataset))
