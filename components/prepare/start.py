"""What a model starts from: a published backbone, another model of the pipeline, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from components.data.arrays import Split
from components.errors import UserError
from components.models import artifact
from components.models.artifact_files import DESCRIPTION
from components.models.encoders import name_of
from components.models.pretrained import PretrainedConfig
from components.models.task import Task, TrainingConfig
from components.params import params
from components.params.entries import NONE

NOTE = "prepared.json"


def resolved(settings: params.Params, name: str) -> TrainingConfig:
    """The configuration of model `name`, with the network that it starts from where a trained model alone says it.

    Raises UserError where that is not trained yet.
    """
    config: TrainingConfig = settings.entry("models", name)
    if isinstance(config, PretrainedConfig) and not config.backbone:
        network = _network_of(Path(settings.paths.models) / config.start)
        config = config.model_copy(update={"backbone": network})
    return config


def _network_of(model: Path) -> str:
    """The name of a trained model's network, as a backbone."""
    try:
        described = json.loads((model / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{model}: no trained model here; `dvc repro` trains it") from None
    config = described["config"]
    if "backbone" in config:
        return str(config["backbone"])
    shape = tuple(described["data"]["input_shape"])
    return name_of(shape, config["filters"], (*config["widths"], config["bottleneck"]), config["family"] == "vae")


def weights_folder(settings: params.Params, name: str) -> Path | None:
    """The folder of the weights that model `name` starts from: of its backbone, or prepared from another model.

    None if it starts from none.
    """
    config: TrainingConfig = settings.entry("models", name)
    if config.start == NONE:
        return None
    if config.start in settings.groups["models"]:
        return Path(settings.paths.prepared) / name
    return Path(settings.paths.models) / config.start


def taken_from_model(task: Task, config: TrainingConfig, split: Split, models: Path) -> Mapping[str, Tensor]:
    """The weights of the model that `start` names, as this one takes them. Raises UserError where they do not fit."""
    trained = artifact.load(models / config.start)
    if trained.task.family == task.family or task.take is None:
        return trained.model.state_dict()
    return task.take(config, split.spec, trained.model, trained.spec)
