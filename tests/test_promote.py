"""The gate: which newly trained models take the promoted ones' places."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import UserError
from components.files import write_whole
from components.models.task import Goal
from components.params import params
from components.promote import judge, promote, promoted, promoted_folder, sentence

ACCURACY, LOSS = Goal("accuracy", more=True), Goal("loss", more=False)


@pytest.mark.parametrize(
    ("goal", "value", "held", "passes"),
    [
        (ACCURACY, 0.5, None, True),
        (ACCURACY, 0.91, 0.90, True),
        (ACCURACY, 0.8911, 0.90, True),  # 1% of 0.90 may be lost
        (ACCURACY, 0.8909, 0.90, False),
        (LOSS, 1.009, 1.0, True),
        (LOSS, 1.011, 1.0, False),
        (LOSS, 0.2, 1.0, True),
        (Goal("elbo", more=True), -100.9, -100.0, True),
        (Goal("elbo", more=True), -101.1, -100.0, False),
        (ACCURACY, float("nan"), 0.1, False),
        (ACCURACY, float("nan"), None, False),
    ],
)
def test_a_model_passes_unless_it_is_worse_by_more_than_the_margin(
    goal: Goal, value: float, held: float | None, passes: bool
) -> None:
    assert judge(goal, value, held, margin=0.01).promoted is passes


@pytest.fixture
def settings(committed: params.Params, tmp_path: Path) -> params.Params:
    """params.yaml's values, of which models and measures lie in an empty folder."""
    own = {"models": str(tmp_path / "models"), "metrics": str(tmp_path / "metrics")}
    general = committed.general.model_copy(update={"paths": committed.paths.model_copy(update=own)})
    return replace(committed, general=general)


def train(settings: params.Params, weights: bytes, accuracy: float) -> None:
    """What a training and its test leave, as far as the gate reads it."""
    for file, content in (
        (Path(settings.paths.models) / "cnn/model.safetensors", weights),
        (Path(settings.paths.metrics) / "cnn.json", json.dumps({"accuracy": accuracy, "loss": 0.1}).encode()),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def held(settings: params.Params) -> bytes:
    return (Path(settings.paths.models) / "promoted/cnn/model.safetensors").read_bytes()


def test_the_first_is_promoted_a_worse_one_is_kept_and_a_better_one_takes_its_place(settings: params.Params) -> None:
    train(settings, b"first", 0.9)
    assert sentence("cnn", promote("cnn", settings)) == "cnn: promoted: the first one, with accuracy 0.9000"
    train(settings, b"worse", 0.8)
    told = "cnn: kept, not promoted: accuracy 0.8000 against 0.9000 is worse by more than 0.0090"
    assert sentence("cnn", promote("cnn", settings)) == told
    assert held(settings) == b"first"
    train(settings, b"better", 0.95)
    assert promote("cnn", settings).promoted
    assert held(settings) == b"better"
    assert promoted(Path(settings.paths.models))["cnn"]["value"] == 0.95


def test_what_an_earlier_version_promoted_is_compared_though_it_called_a_metric_a_measure(
    settings: params.Params,
) -> None:
    train(settings, b"first", 0.9)
    promote("cnn", settings)
    record = Path(settings.paths.models) / "promoted.json"
    record.write_text(record.read_text().replace('"metric"', '"measure"'))
    train(settings, b"worse", 0.8)
    assert not promote("cnn", settings).promoted


def test_small_losses_do_not_add_up_when_the_same_model_is_judged_again(settings: params.Params) -> None:
    train(settings, b"first", 0.9)
    promote("cnn", settings)
    assert "is the promoted one" in promote("cnn", settings).reason


def test_a_model_that_was_never_tested_is_one_message(settings: params.Params) -> None:
    with pytest.raises(UserError, match="`dvc repro evaluate@cnn` makes one"):
        promote("cnn", settings)


def test_a_broken_record_is_not_written_over(settings: params.Params) -> None:
    train(settings, b"first", 0.9)
    file = Path(settings.paths.models) / "promoted.json"
    file.write_text("{")
    with pytest.raises(UserError, match="delete it to promote anew"):
        promote("cnn", settings)
    assert file.read_text() == "{"


def test_what_a_kill_left_aside_is_the_promoted_model_again(settings: params.Params) -> None:
    train(settings, b"first", 0.9)
    promote("cnn", settings)
    models = Path(settings.paths.models)
    (models / "promoted/cnn").rename(models / "promoted/.cnn.old")
    train(settings, b"worse", 0.8)
    assert not promote("cnn", settings).promoted
    assert held(settings) == b"first"
    assert promoted_folder(models, "cnn") == models / "promoted/cnn"


@pytest.mark.parametrize("change", ["gone", "other weights"])
def test_a_model_that_is_not_what_the_record_says_is_not_called_promoted(
    change: str, settings: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings, b"first", 0.9)
    promote("cnn", settings)
    models = Path(settings.paths.models)
    if change == "gone":
        shutil.rmtree(models / "promoted/cnn")
    else:
        (models / "promoted/cnn/model.safetensors").write_bytes(b"other")
    assert promoted(models) == {}
    assert "promoted.json says; none is promoted" in capsys.readouterr().err
    with pytest.raises(UserError, match="cnn: no model is promoted"):
        promoted_folder(models, "cnn")
    train(settings, b"worse", 0.8)
    assert promote("cnn", settings).promoted
    assert held(settings) == b"worse"


@pytest.mark.parametrize("moment", ["before the folder", "after the folder"])
def test_a_kill_between_the_folder_and_the_record_leaves_one_of_the_two_promoted(
    moment: str, settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(settings, b"first", 0.9)
    promote("cnn", settings)
    train(settings, b"better", 0.95)
    killed = iter([False, True])

    def write(file: Path, text: str) -> None:
        if moment == "after the folder" and next(killed):
            raise KeyboardInterrupt
        write_whole(file, text)

    def copy(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as kill, pytest.raises(KeyboardInterrupt):
        kill.setattr("components.promote.write_whole", write)
        if moment == "before the folder":
            kill.setattr("shutil.copytree", copy)
        promote("cnn", settings)
    models = Path(settings.paths.models)
    value, weights = (0.9, b"first") if moment == "before the folder" else (0.95, b"better")
    assert promoted(models)["cnn"]["value"] == value
    assert held(settings) == weights
    train(settings, b"worse", 0.5)
    assert not promote("cnn", settings).promoted
    train(settings, b"better", 0.95)
    assert promote("cnn", settings).promoted
    assert held(settings) == b"better"
    assert "before" not in (models / "promoted.json").read_text()
