"""The code stage: what code each other stage is made by, so that an edit makes stale what it changes and nothing else.

Writes <paths.code>/<step>/<section>: a line for each file of code, its digest and its name. Being the first of all
stages, it also checks params.yaml whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.code.imports import digests, file_of, program
from components.data.dataset import load_dataset
from components.data.sources import Synthetic
from components.errors import UserError
from components.files import whole_folder
from components.params import params
from components.params.declarations import BASELINES, DATASETS, EVALUATIONS, MODELS, STUDIES, declared_in

STEPS = {  # a stage → its command, and the package that declares the sections that it is given
    "download": ("components.data.download", DATASETS),
    "text": ("components.data.text", DATASETS),
    "split": ("components.data.split", DATASETS),
    "baseline": ("components.baselines", BASELINES),
    "weights": ("components.prepare.weights", MODELS),
    "features": ("components.prepare.features", MODELS),
    "vectors": ("components.prepare.vectors", MODELS),
    "train": ("components.train", MODELS),
    "evaluate": ("components.evaluate", MODELS),
    "study": ("components.studies", STUDIES),
}
REPORT = "report"  # of no section


def modules_of(step: str, name: str, settings: params.Params) -> Iterator[str]:
    """The modules that a stage runs: its command, its section's own, and those that the section's values name."""
    command, package = STEPS[step]
    yield program(command)
    yield f"{package}.{name}"
    values: Any = settings.values(name)
    if step == "evaluate" and file_of(f"{EVALUATIONS}.{name}").is_file():  # a model's training needs none yet
        yield f"{EVALUATIONS}.{name}"
    if step == "download":
        with suppress(UserError):  # no such source: the download tells of it, and stops no other stage
            _, source = load_dataset(name).sources(settings.sections[name], settings.general.source)
            yield from [source.generator] if isinstance(source, Synthetic) else []
    for key in ("weights", "model"):  # of another model of the pipeline
        if values.get(key) in declared_in(MODELS):
            yield f"{MODELS}.{values[key]}"


def write(settings: params.Params, target: Path) -> None:
    """Write the folder `target`, whole."""
    with whole_folder(target) as folder:
        for step, (_, package) in STEPS.items():
            (folder / step).mkdir()
            for name in declared_in(package):
                _write(folder / step / name, digests(modules_of(step, name, settings)))
        _write(folder / REPORT, digests([program(f"components.{REPORT}")]))


def _write(file: Path, files: dict[str, str]) -> None:
    file.write_text("".join(f"{digest}  {name}\n" for name, digest in files.items()), encoding="utf-8")
