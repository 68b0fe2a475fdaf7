"""The report: one page, nothing fetched, and sentences that say what the curves say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from components import artifact
from components.data.loaders import Split
from components.evaluate import evaluate
from components.loop import fit
from components.models.cnn import TASK
from components.params import UserError
from components.report import Way, finding, ways, write_report
from tests.conftest import CPU, Config


@pytest.fixture(scope="module")
def evaluated(config: Config, made_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models/, metrics/, plots/ and report/ of a short training."""
    folder = tmp_path_factory.mktemp("data")
    settings = config(epochs=2)
    training = fit(TASK, settings, made_split, CPU, lambda *_: None)
    artifact.save(folder / "models" / "cnn", TASK, settings, made_split.spec, training.state())
    saved = artifact.load(folder / "models" / "cnn")
    evaluate(
        saved, made_split, folder / "metrics" / "cnn.json", folder / "plots" / "cnn", folder / "timing" / "cnn.json"
    )
    write_report(folder / "metrics", folder / "plots", folder / "timing", folder / "report")
    return folder


def test_the_page_holds_everything_and_fetches_nothing(evaluated: Path) -> None:
    page = (evaluated / "report" / "index.html").read_text()
    assert page.count("<svg") == 4
    assert "19,927" in page
    assert "data:image/png;base64," in page
    assert "Content-Security-Policy" in page
    assert "<script" not in page
    fetching = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:|#)[^"')> ]+""", page)
    assert not [text for text in fetching if not text.startswith("url(#")], fetching


def test_the_same_data_give_the_same_page(evaluated: Path, tmp_path: Path) -> None:
    again = write_report(evaluated / "metrics", evaluated / "plots", evaluated / "timing", tmp_path / "report")
    assert again.read_bytes() == (evaluated / "report" / "index.html").read_bytes()


def test_an_artifact_gives_back_the_trained_model(evaluated: Path, config: Config, made_split: Split) -> None:
    trained = artifact.load(evaluated / "models" / "cnn")
    assert trained.config == config(epochs=2)
    assert trained.spec == made_split.spec
    assert not trained.model.training


def test_evaluating_on_other_data_than_trained_on_is_refused(
    evaluated: Path, made_split: Split, tmp_path: Path
) -> None:
    trained = artifact.load(evaluated / "models" / "cnn")
    other = replace(made_split, classes=("a", "b"))
    with pytest.raises(UserError, match="trained on other data"):
        evaluate(trained, other, tmp_path / "metrics.json", tmp_path / "plots", tmp_path / "timing.json")


def test_no_metrics_or_no_model_say_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        write_report(tmp_path, tmp_path, tmp_path, tmp_path / "report")
    with pytest.raises(UserError, match="dvc repro"):
        artifact.load(tmp_path)


FOUND = {"map_50": 0.5, "map": 0.25, "mar": 0.3, "examples": 9, "windows": 1234}


def test_detectors_of_many_objects_are_compared_if_there_are_two(tmp_path: Path) -> None:
    (tmp_path / "ssd.json").write_text('{"milliseconds_per_example": 27.6}')
    found = ways({"sliding_window": FOUND, "ssd": FOUND, "cnn": {"accuracy": 0.9}}, tmp_path)
    assert found == [
        Way("sliding_window", "1,234", "not measured here", "50.0%", "25.0%"),
        Way("ssd", "1,234", "28", "50.0%", "25.0%"),
    ]
    assert ways({"ssd": FOUND, "cnn": {"accuracy": 0.9}}, tmp_path) == []


@pytest.mark.parametrize(
    ("training", "validation", "said"),
    [
        ([1.0, 0.5, 0.2, 0.1], [1.0, 0.6, 0.7, 0.9], "It overfits: after epoch 2"),
        ([1.0, 0.5, 0.4], [1.0, 0.6, 0.5], "more epochs may still lower it"),
        ([1.0, 0.5, 0.4], [1.0, 0.6, 0.61], "lowest in epoch 2"),
    ],
)
def test_the_finding_says_what_the_curves_say(training: list[float], validation: list[float], said: str) -> None:
    history = pd.DataFrame({"loss": training, "validation_loss": validation})
    assert said in finding(history)
