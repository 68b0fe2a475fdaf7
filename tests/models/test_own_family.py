"""A network of one's own is one file, that of docs/own_data.md, and an entry of params.yaml."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPO, synthetic

STAGES = ("components.train", "components.evaluate")
BEFORE = ("components.data.download", "components.data.preprocess", "components.data.split")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the code with the network of the documentation, and a model of it on synthetic garments."""
    shutil.copytree(REPO / "components", tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPO / "data" / "sources", tmp_path / "data" / "sources")
    block = re.search(r"families/mlp\.py.*?```python\n(.*?)```", (REPO / "docs/own_data.md").read_text(), re.DOTALL)
    assert block
    (tmp_path / "components/models/families/mlp.py").write_text(block[1])
    values = YAML(typ="safe").load(REPO / "params.yaml")
    values["data"]["fashion"]["source"] = synthetic("fashion")
    values["models"]["mine"] = {"family": "mlp", "data": "fashion", "start": "none", "width": 32, "epochs": 2}
    with (tmp_path / "params.yaml").open("w") as opened:
        YAML().dump(values, opened)
    return tmp_path


def run(project: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_one_file_and_one_entry_are_explained_trained_tested_asked_and_watched(project: Path) -> None:
    assert "units of the hidden layer" in run(project, "components.params", "mine")
    for stage in BEFORE:
        run(project, stage, "fashion")
    run(project, "components.prepare.weights", "none")
    for stage in ("components.prepare", *STAGES):
        run(project, stage, "mine")
    assert json.loads((project / "data/metrics/mine.json").read_text())["accuracy"] > 0.5
    written = {file.name for folder in ("plots", "images") for file in (project / "data" / folder / "mine").iterdir()}
    assert {"confusion.csv", "mistakes.png", "history.csv"} <= written
    assert "feature_maps.png" not in written  # it has no convolution

    run(project, "components.code")
    watched = (project / "data/code/evaluate/mine").read_text()
    assert "families/mlp.py" in watched
    assert "evaluate/classification.py" in watched


def test_a_family_that_classifies_nothing_and_has_no_evaluation_says_which_file_is_missing(project: Path) -> None:
    (project / "components/evaluate/vae.py").unlink()
    asked = (
        "from components.evaluate.evaluation import Config; from components.evaluate.results import results_of; "
        "results_of('vae', Config())"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=project, text=True, capture_output=True, check=False)
    assert "UserError: vae: components/evaluate/vae.py is missing, which says how a vae is tested" in done.stderr
