"""Each family's, data set's and study's duties to the rest, so that a new one is a file and an entry."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from components.data.arrays import Split
from components.data.kind import load_kind
from components.evaluate.evaluation import Config as Evaluation
from components.evaluate.results import results_of
from components.models import artifact
from components.models.outputs import each
from components.models.pretrained import PretrainedConfig
from components.models.task import TrainingConfig, load_task
from components.params import declarations, params
from components.params.declarations import config_of, declaration, declared_in
from components.params.section import Section
from components.train.loop import fit
from tests.conftest import CPU, REPO

PACKAGES = (declarations.MODELS, declarations.KINDS, declarations.BASELINES, declarations.STUDIES)
FAMILIES, KINDS = declared_in(declarations.MODELS), declared_in(declarations.KINDS)
BASELINES, STUDIES = declared_in(declarations.BASELINES), declared_in(declarations.STUDIES)
GIVEN = {"source", "family", "kind", "data", "start", "model", "others", "timm"}  # what every entry has to say


def stages() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((REPO / "dvc.yaml").read_text())["stages"]
    return loaded


def test_there_are_models_and_sets() -> None:
    assert FAMILIES
    assert KINDS


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_a_file_and_its_models_are_entries_of_params_yaml(family: str, evaluation: Evaluation) -> None:
    task = load_task(family, "own")
    assert (task.name, task.family) == ("own", family)
    assert callable(results_of(family, evaluation).evaluate)
    assert issubclass(task.config, TrainingConfig)


def test_dvc_yaml_names_no_model_no_study_and_no_baseline(committed: params.Params) -> None:
    text = (REPO / "dvc.yaml").read_text()
    for name in (name for names in committed.groups.values() for name in names):
        assert not re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_data_is_a_file(kind: str) -> None:
    assert callable(load_kind(kind).preprocess)


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_is_a_file(kind: str) -> None:
    assert callable(declaration(declarations.BASELINES, kind, "evaluate", kind="baseline"))


@pytest.mark.parametrize("kind", STUDIES)
def test_a_study_is_a_file(kind: str) -> None:
    assert callable(declaration(declarations.STUDIES, kind, "evaluate", kind="study"))


@pytest.mark.parametrize(("package", "name"), [(each, name) for each in PACKAGES for name in declared_in(each)])
def test_every_key_says_what_is_allowed_and_has_a_default(package: str, name: str) -> None:
    """But for those that say what an entry is, and what it is made of."""
    for key, field in config_of(package, name).model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        assert field.is_required() == (key in GIVEN), f"{name}.{key}"
        assert field.description or nested, f"{name}.{key} has no description"


@pytest.mark.parametrize(
    "name", [n if n == "cnn" else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES]
)  # of those on published backbones each takes seconds
def test_a_model_trains_is_saved_and_is_evaluated_on_synthetic_data(
    name: str,
    committed: params.Params,
    evaluation: Evaluation,
    made_splits: Callable[[str], Split],
    tmp_path: Path,
) -> None:
    task = load_task(name)
    changes = {"epochs": 1, "pretrained": False} if issubclass(task.config, PretrainedConfig) else {"epochs": 1}
    config = committed.sections[name].model_copy(update=changes)
    assert isinstance(config, TrainingConfig)
    split = made_splits(config.data)
    examples = task.derive(config, split, tmp_path) if task.derive else split
    training = fit(task, config, examples, CPU, lambda *_: None)
    assert examples.spec == task.spec(config, split.spec)
    artifact.save(tmp_path / "model", task, config, examples.spec, training.state())
    model = artifact.load(tmp_path / "model").model

    rows, results = split.rows["test"], results_of(name, evaluation)
    predictions = results.predict(model, task.batch(split, rows).inputs)
    plots = tmp_path / "plots"
    plots.mkdir()
    found = results.evaluate(model, predictions, rows, split, plots)
    assert found["examples"] == len(rows)
    assert {len(output) for output in ([predictions] if isinstance(predictions, torch.Tensor) else predictions)} == {
        len(rows)
    }
    assert all(file.stat().st_size for file in plots.iterdir())

    random = torch.Generator().manual_seed(config.seed)
    batch = task.draw(config, task.batch(examples, examples.rows["validation"]), random)
    outputs = each(torch.Tensor.detach, training.model.eval()(batch.inputs))
    assert task.loss(config, outputs, batch).item() == pytest.approx(training.history[0]["validation_loss"], rel=0.02)
    for measure, total in task.metrics(outputs, batch).items():
        expected = training.history[0][f"validation_{measure}"]
        assert total.item() / len(batch.inputs) == pytest.approx(expected, abs=0.02, rel=0.03)

    loss, metrics = task.measured(config, outputs, batch)
    assert loss.item() == pytest.approx(task.loss(config, outputs, batch).item())
    assert {k: v.item() for k, v in metrics.items()} == pytest.approx(
        {k: v.item() for k, v in task.metrics(outputs, batch).items()}
    )


def test_dvc_reads_the_pipeline() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list"], cwd=REPO, text=True, capture_output=True, check=True
    )
    assert "train@cnn" in done.stdout
