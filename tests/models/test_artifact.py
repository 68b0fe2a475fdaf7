"""A trained model on disk is loaded as what it was trained as, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.data.arrays import Split
from components.errors import UserError
from components.models import artifact
from components.models.artifact_files import DESCRIPTION
from components.models.families.cnn import TASK
from components.train.loop import fit
from tests.conftest import CPU, Config


@pytest.fixture
def folder(config: Config, made_split: Split, tmp_path: Path) -> Path:
    settings = config(epochs=1)
    training = fit(TASK, settings, made_split, CPU, lambda *_: None)
    artifact.save(tmp_path / "model", TASK, settings, made_split.spec, training.state())
    return tmp_path / "model"


def test_what_is_loaded_has_the_values_that_it_was_trained_with(folder: Path, config: Config) -> None:
    assert artifact.load(folder).config == config(epochs=1)


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pooling": lambda values: values.pop("pooling"),  # of which today's default is another network
    "ema, schedule": lambda values: (values.pop("ema"), values.pop("schedule")),
    "measure": lambda values: values.update(measure=1),
    "optimizer": lambda values: values.update(optimizer="lion"),
}


@pytest.mark.parametrize("keys", EDITS)
def test_a_model_of_another_version_is_refused_by_the_keys_that_differ(keys: str, folder: Path) -> None:
    description = json.loads((folder / DESCRIPTION).read_text())
    EDITS[keys](description["config"])
    (folder / DESCRIPTION).write_text(json.dumps(description))
    said = f"{folder}: trained by another version of this tool ({keys}); train it anew"
    with pytest.raises(UserError, match=re.escape(said)):
        artifact.load(folder)
