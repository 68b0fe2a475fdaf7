"""A trained model on disk: weights as safetensors, all else as JSON and CSV.

The same training gives the same bytes: no times and no machine's name stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from components.data.arrays import VOCABULARY, DataSpec, read_vocabulary
from components.errors import UserError
from components.files import whole_folder
from components.models.artifact_files import DESCRIPTION, HISTORY, LAYERS, WEIGHTS
from components.models.task import Task, TrainingConfig, frozen, load_task, untrained


@dataclass(frozen=True)
class Artifact:
    """A trained model and what it was trained with.

    epoch:   the epoch that the weights are of, from 1.

    The folder also holds HISTORY (one row per epoch: epoch, loss, validation_loss, each metric and its
    validation_ twin) and LAYERS (one row per epoch and weight: epoch, layer, gradient, update).
    """

    folder: Path
    task: Task
    config: TrainingConfig
    spec: DataSpec
    model: nn.Module
    epoch: int


def save(
    target: Path,
    task: Task,
    config: TrainingConfig,
    spec: DataSpec,
    state: dict[str, Any],
    published: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the folder `target` from a finished training's state (see loop.Training), whole or not at all.

    published: the weights that the training began with. What it left out, the frozen beginning whose outputs were
    stored, is put back, so that the model takes images.
    """
    best = config.keep == "best"
    model = untrained(task, config, replace(spec, stored=None), published or {})
    trained = state["best"]["model"] if best else {**state["model"], **state["average"]}
    lacking = model.load_state_dict(trained, strict=False)
    assert not lacking.unexpected_keys
    assert spec.stored or {*lacking.missing_keys} <= frozen(model)
    epochs = state["history"]
    layers = [{"epoch": e["epoch"], "layer": n, **v} for e in epochs for n, v in e["layers"].items()]
    description = {
        "name": task.name,
        "config": config.model_dump(mode="json"),
        "data": {
            "input_shape": list(spec.input_shape),
            "classes": list(spec.classes),
            **({"grey_bits": spec.grey_bits} if spec.grey_bits != 16 else {}),
        },
        "epoch": state["best"]["epoch"] if best else len(epochs),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    with whole_folder(target) as folder:
        if spec.text:
            (folder / VOCABULARY).write_text(spec.text.dump(), encoding="utf-8")
        save_file({name: w.cpu().contiguous() for name, w in model.state_dict().items()}, folder / WEIGHTS)
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        history = pd.DataFrame([{k: v for k, v in e.items() if k != "layers"} for e in epochs])
        history.to_csv(folder / HISTORY, index=False)
        pd.DataFrame(layers).to_csv(folder / LAYERS, index=False)


def load(folder: Path) -> Artifact:
    """The model of a folder that `save` wrote, in evaluation mode on the CPU.

    Raises UserError if it is absent, or another version wrote it: a key that came later has a default, which need not
    be what the model was trained with.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: no trained model here; `dvc repro` trains it") from None
    family = description["config"].get("family", description.get("task", ""))
    task = load_task(family, description.get("name", family))
    written = description["config"]
    try:
        config = task.config.model_validate_json(json.dumps(written)).at(f"models.{task.name}")
        keys = {key for key, value in config.model_dump(mode="json").items() if written.get(key, ...) != value}
    except ValidationError as error:
        keys = {".".join(map(str, each["loc"])) for each in error.errors()}
    if keys:
        listed = ", ".join(sorted(keys))
        raise UserError(f"{folder}: trained by another version of this tool ({listed}); train it anew")
    data = description["data"]
    spec = DataSpec(
        tuple(data["input_shape"]),
        tuple(data["classes"]),
        text=read_vocabulary(folder),
        grey_bits=data.get("grey_bits", 16),
    )
    model = task.build(config, spec)
    model.load_state_dict(load_file(folder / WEIGHTS))
    return Artifact(folder, task, config, spec, model.eval(), description["epoch"])
