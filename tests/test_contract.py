"""What each model and data set owes the rest, so that a new one is a file, a section and a line in dvc.yaml."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from components import params
from components.data.dataset import load_dataset
from components.data.loaders import Split
from components.loop import fit
from components.params import section_types
from components.task import TrainingConfig, load_task
from tests.conftest import CPU, REPO

TYPES = section_types()
MODELS, SETS = params.declared_in(params.MODELS), params.declared_in(params.DATASETS)


def stages() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((REPO / "dvc.yaml").read_text())["stages"]
    return loaded


def test_there_are_models_and_sets() -> None:
    assert MODELS
    assert SETS


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_file_a_section_and_its_lines_in_dvc_yaml(name: str, committed: params.Params) -> None:
    task = load_task(name)
    assert task.name == name
    assert issubclass(task.config, TrainingConfig)
    assert isinstance(committed.sections[name], task.config)
    assert name in stages()["train"]["foreach"]
    assert name in stages()["evaluate"]["foreach"]


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_is_a_file_a_section_and_its_lines_in_dvc_yaml(name: str, committed: params.Params) -> None:
    assert load_dataset(name).name == name
    assert name in committed.sections
    assert name in stages()["download"]["foreach"]
    assert name in stages()["split"]["foreach"]


@pytest.mark.parametrize("name", [*MODELS, *SETS])
def test_every_key_says_what_is_allowed_and_has_no_default(name: str) -> None:
    for key, field in TYPES[name].model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, params.Section)
        assert field.is_required(), f"{name}.{key} has a default: its value belongs in params.yaml alone"
        assert field.description or nested, f"{name}.{key} has no description"


@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_and_is_evaluated_on_made_data(
    name: str, committed: params.Params, made_splits: Callable[[str], Split], tmp_path: Path
) -> None:
    task = load_task(name)
    config = committed.sections[name].model_copy(update={"epochs": 1})
    assert isinstance(config, TrainingConfig)
    split = made_splits(config.data)
    training = fit(task, config, split, CPU, lambda *_: None)
    batch = task.batch(split, split.rows["test"])
    outputs = training.model.eval()(batch.inputs).detach()
    assert task.loss(outputs, batch).dim() == 0
    sums = task.metrics(outputs, batch)
    assert all(torch.is_tensor(value) and value.dim() == 0 for value in sums.values())
    found = task.evaluate(outputs, split.rows["test"], split, tmp_path)
    for measure, total in sums.items():
        assert found[measure] == pytest.approx(total.item() / len(split.rows["test"]))


def test_every_stage_depends_on_files_that_exist() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list"], cwd=REPO, text=True, capture_output=True, check=True
    )
    assert "train@cnn" in done.stdout
    for stage in stages().values():
        for dependency in stage.get("do", stage)["deps"]:
            if dependency.startswith("components/") and "$" not in dependency:
                assert (REPO / dependency).is_file(), dependency
