"""The report: one page, nothing fetched, and sentences that say what the curves say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.data.arrays import Split
from components.errors import UserError
from components.evaluate.evaluation import Config as Evaluation
from components.evaluate.stage import evaluate
from components.models import artifact
from components.models.families.cnn import TASK
from components.plots.tables import Table, write_tables
from components.report.page import Chapter, Way, classifiers, finding, ways, write_report
from components.train.loop import fit
from tests.conftest import CPU, Config


@pytest.fixture(scope="module")
def evaluated(
    config: Config, evaluation: Evaluation, made_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with models/, metrics/, plots/ and report/ of a short training."""
    folder = tmp_path_factory.mktemp("data")
    settings = config(epochs=2)
    training = fit(TASK, settings, made_split, CPU, lambda *_: None)
    artifact.save(folder / "models" / "cnn", TASK, settings, made_split.spec, training.state())
    saved = artifact.load(folder / "models" / "cnn")
    files = (folder / "metrics" / "cnn.json", folder / "plots" / "cnn", folder / "timing" / "cnn.json")
    evaluate(saved, made_split, evaluation, *files)
    write_report(folder / "metrics", folder / "plots", folder / "plots", folder / "timing", folder / "report")
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
    again = write_report(
        evaluated / "metrics", evaluated / "plots", evaluated / "plots", evaluated / "timing", tmp_path / "report"
    )
    assert again.read_bytes() == (evaluated / "report" / "index.html").read_bytes()


def test_an_artifact_gives_back_the_trained_model(evaluated: Path, config: Config, made_split: Split) -> None:
    trained = artifact.load(evaluated / "models" / "cnn")
    assert trained.config == config(epochs=2)
    assert trained.spec == made_split.spec
    assert not trained.model.training


def test_evaluating_on_other_data_than_trained_on_is_refused(
    evaluated: Path, evaluation: Evaluation, made_split: Split, tmp_path: Path
) -> None:
    trained = artifact.load(evaluated / "models" / "cnn")
    other = replace(made_split, classes=("a", "b"))
    with pytest.raises(UserError, match="trained on other data"):
        evaluate(trained, other, evaluation, tmp_path / "metrics.json", tmp_path / "plots", tmp_path / "timing.json")


def test_no_metrics_or_no_model_say_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        write_report(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path / "report")
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


def test_a_stage_that_leaves_tables_alone_has_a_chapter_of_them(tmp_path: Path) -> None:
    (tmp_path / "plots" / "tfidf").mkdir(parents=True)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "tfidf.json").write_text('{"naive_bayes": {"raw": 0.8, "log": 0.85}, "examples": 9}')
    write_tables(tmp_path / "plots" / "tfidf", [Table("Alike", ["cosine", "text"], [["0.9", "<b>a & b</b>"]], "Note.")])
    (tmp_path / "plots" / "tfidf" / "config.json").write_text('{"data": "reviews", "smoothing": 1.5}')
    page = write_report(
        tmp_path / "metrics", tmp_path / "plots", tmp_path / "plots", tmp_path, tmp_path / "report"
    ).read_text()
    assert "<td>smoothing</td><td>1.5</td>" in page
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in page
    assert "85.00%" in page
    assert "Note." in page
    assert "<svg" not in page


TEXT_METRICS: dict[str, dict[str, Any]] = {
    "tfidf": {"naive_bayes": {"raw": 0.8}, "logistic_regression": {"raw": 0.88, "log": 0.86}, "examples": 9},
    "lstm": {"accuracy": 0.87, "examples": 9},
}


def of(name: str, **config: str) -> Chapter:
    return Chapter(name, "", [], "", [], [], [], config)


def test_classifiers_of_texts_stand_in_one_table_even_where_the_baseline_wins() -> None:
    baseline, network = of("tfidf", data="reviews"), of("lstm", data="reviews", cell="lstm", encoding="word2vec")
    found = classifiers(TEXT_METRICS, [baseline, network])
    assert found is not None
    assert [row[1] for row in found.rows] == ["logistic regression", "lstm", "logistic regression", "Naive Bayes"]
    assert [row[3] for row in found.rows] == ["88.00%", "87.00%", "86.00%", "80.00%"]
    assert classifiers(TEXT_METRICS, [baseline]) is None
    assert classifiers({"lstm": TEXT_METRICS["lstm"]}, [network]) is None


def test_classifiers_of_other_texts_or_of_images_are_not_compared_with_them() -> None:
    baseline = of("tfidf", data="reviews")
    metrics = {**TEXT_METRICS, "cnn": {"accuracy": 0.9}}
    assert classifiers(metrics, [baseline, of("lstm", data="mails", cell="rnn", encoding="integer")]) is None
    assert classifiers(metrics, [baseline, of("cnn", data="mnist")]) is None


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
