"""The stage `prepare`: what a model trains on, where that is not the split itself, and the weights that it starts from.

Features of frozen layers, a model's own examples, vectors in the order of its vocabulary, weights of another model;
else a note that its training reads the split. What was made is kept by what it was made of: a change of any other key
makes nothing again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from components.data.arrays import SUMMARY as SPLIT
from components.data.arrays import Split, open_split
from components.errors import UserError
from components.made_once import NOTES, made_once
from components.models.pretrained import PretrainedConfig, digest_of
from components.models.task import Task, TrainingConfig, load_task, untrained
from components.params import params
from components.params.entries import NONE
from components.prepare import features
from components.prepare.start import NOTE, resolved, taken_from_model, weights_folder
from components.prepare.weights import SUMMARY as WEIGHTS
from components.prepare.weights import load_weights, write_weights

STEP = "prepare"


def training_split(paths: params.Paths, name: str, config: TrainingConfig) -> Split:
    """The split that model `name` trains on: what was prepared for it, or its data set.

    Raises UserError where that is not there, or was made of another split than there is now.
    """
    prepared, own = Path(paths.prepared) / name, open_split(Path(paths.split) / config.data)
    if config.start == NONE:  # there is nothing to prepare
        return own
    if not (prepared / NOTE).exists():
        raise UserError(f"{prepared}: nothing is prepared here; `dvc repro` does it")
    note = json.loads((prepared / NOTE).read_text(encoding="utf-8"))
    if note["split"] != own.fingerprint:
        raise UserError(f"{prepared}: this was made of another split; `dvc repro` makes it anew")
    return open_split(prepared) if (prepared / SPLIT).exists() else own


def prepare(name: str, settings: params.Params) -> None:
    """Write what model `name` trains on into the folder of its name. Raises UserError for what the user can mend."""
    paths = settings.paths
    config: TrainingConfig = resolved(settings, name)
    task, split = load_task(config.family, name), open_split(Path(paths.split) / config.data)
    from_model = config.start in settings.groups["models"]
    if from_model:
        weights = taken_from_model(task, config, split, Path(paths.models))
    else:
        weights = load_weights(weights_folder(settings, name))
    said: list[str] = []

    def make(folder: Path) -> None:
        said.append(_made(task, config, split, weights, folder, from_model))

    key = _key(config, split, weights, Path(paths.code) / STEP / name)
    anew = made_once(Path(paths.prepared) / name, Path(paths.runs) / NOTES / f"{STEP}@{name}", key, make)
    print(f"{name}: {said[0] if anew else 'as it was prepared before'}", flush=True)


def _made(
    task: Task, config: TrainingConfig, split: Split, weights: Mapping[str, Tensor], folder: Path, from_model: bool
) -> str:
    """Write all of it into an empty folder; what it is."""
    said = []
    note: dict[str, object] = {"split": split.fingerprint, "weights": digest_of(weights)}
    if from_model:
        summary = {"start": config.start, **write_weights(folder, weights)}
        (folder / WEIGHTS).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        said.append(f"weights from {config.start}")
    if isinstance(config, PretrainedConfig):
        said.append(features.make(task, config, split, weights, folder))
    elif weights:
        untrained(task, config, split.spec, weights)  # of another shape they are refused here
    (folder / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return "; ".join(said) or f"it trains on {config.data} as it is"


def _key(config: TrainingConfig, split: Split, weights: Mapping[str, Tensor], code: Path) -> str:
    """Of all that the folder is made of; code: the file of digests that the stage depends on."""
    values = {key: getattr(config, key) for key in config.prepared_from()}
    if not weights:
        values["seed"] = config.seed
    told = {
        key: value.model_dump(mode="json") if hasattr(value, "model_dump") else value for key, value in values.items()
    }
    made_by = code.read_text(encoding="utf-8") if code.is_file() else ""
    parts = [told, config.start, split.fingerprint, digest_of(weights), made_by]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
