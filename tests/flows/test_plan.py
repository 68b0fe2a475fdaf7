"""What a run would do, how long it would take, and which changes to params.yaml are allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.params import params
from components.params.schema import of_changes
from flows.graph import reasons
from flows.plan import estimate, plan
from flows.record import first_metric, key, last_seconds, note_seconds
from tests.conftest import REPO, Project

GRAPH = {"split": (), "train@a": ("split",), "train@b": ("split",), "report": ("train@a", "train@b")}
SECONDS = {"split": 2.0, "train@a": 10.0, "train@b": 6.0, "report": 1.0}


def test_two_stages_side_by_side_take_as_long_as_the_longer_one() -> None:
    assert estimate(GRAPH, GRAPH.keys(), SECONDS, at_once=2) == 13
    assert estimate(GRAPH, GRAPH.keys(), SECONDS, at_once=1) == 19
    assert estimate(GRAPH, {"train@b", "report"}, SECONDS, at_once=2) == 7


def planned(project: Project, seconds: dict[str, float]) -> str:
    return plan({"first": (), "second": ("first",)}, project.folder, seconds, at_once=2)


def test_a_plan_names_each_stage_its_reason_and_the_time_that_it_took(small: Project) -> None:
    assert "it has not run yet" in planned(small, {})
    assert "2 of which no time is known" in planned(small, {})
    assert small.run("dvc", "repro").returncode == 0
    assert planned(small, {}) == "Nothing to do: all 2 stages are up to date."
    small.change(profile="full")
    said = planned(small, {"first": 70, "second": 5})
    assert "first   1 min 10 s  profile: sample → full" in said
    assert "second        5 s  after first" in said
    assert "2 of 2 stages would run, or come from DVC's cache, 2 side by side: about 1 min 15 s" in said


def test_a_lost_output_and_a_changed_dependency_are_told_apart(small: Project) -> None:
    assert small.run("dvc", "repro").returncode == 0
    (small.folder / "in.txt").write_text("two")
    (small.folder / "second.txt").unlink()
    assert reasons(small.folder) == {"first": ["in.txt changed"], "second": ["its output second.txt is gone"]}


def test_a_key_inside_an_entry_is_named_with_both_values(small: Project) -> None:
    (small.folder / "dvc.yaml").write_text("stages: {first: {cmd: echo 1, params: [models.cnn, data]}}")
    assert small.run("dvc", "repro").returncode == 0
    small.change(cnn__dropout=0.4, cnn__epochs=3, voc__side=64)
    small.change(mnist__split={"seed": 7})
    assert reasons(small.folder) == {
        "first": [
            "models.cnn.dropout: 0.25 → 0.4",
            "models.cnn.epochs: 3 is new",
            'data.mnist.split: {"seed": 7} is new',
            "data.voc.side: 300 → 64",
        ]
    }


def test_code_that_changed_is_told_as_such(small: Project) -> None:
    digests = small.folder / "data/code/train/cnn"
    digests.parent.mkdir(parents=True)
    digests.write_text("one")
    (small.folder / "dvc.yaml").write_text("stages: {first: {cmd: echo 1, deps: [data/code/train/cnn]}}")
    assert small.run("dvc", "repro").returncode == 0
    digests.write_text("two")
    assert reasons(small.folder) == {"first": ["its code changed"]}


def test_times_are_remembered_of_the_stages_that_ran(tmp_path: Path) -> None:
    note_seconds(tmp_path, [{"stage": "a", "outcome": "ran", "seconds": 2.04}])
    note_seconds(
        tmp_path, [{"stage": "b", "outcome": "ran", "seconds": 1}, {"stage": "a", "outcome": "cached", "seconds": 0}]
    )
    assert last_seconds(tmp_path) == {"a": 2.0, "b": 1}
    (tmp_path / "seconds.json").write_text("{")
    assert last_seconds(tmp_path) == {}


def test_the_table_shows_the_first_test_metric(tmp_path: Path) -> None:
    (tmp_path / "cnn.json").write_text('{"accuracy": 0.9713, "loss": 0.1}')
    assert first_metric({"stage": "evaluate@cnn"}, tmp_path) == "accuracy 0.9713"
    assert first_metric({"stage": "train@cnn"}, tmp_path) == ""
    assert key("epochs-train@sliding_window") == "epochs-train-sliding-window"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    told = of_changes(params.load(REPO / "params.yaml"))
    return {"type": "object", **told["schema"], "definitions": told["definitions"]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"models": {"cnn": {"dropout": 0.4, "filters": [8, 8]}}},
        {"profile": "full"},
        {"data": {"mnist": {"split": {"validation": 0.1}}}},
        {"search": {"trials": 4}},
    ],
)
def test_a_change_within_the_ranges_is_allowed(schema: dict[str, Any], changes: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json.dumps(changes)), schema)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": {"cnn": {"dropout": 1.5}}}, "1.5 is"),
        ({"models": {"cnn": {"dropuot": 0.5}}}, "dropuot"),
        ({"models": {"cnnn": {}}}, "cnnn"),
        ({"models": {"cnn": {"epochs": "ten"}}}, "ten"),
        ({"paths": {"raw": "elsewhere"}}, "paths"),
    ],
)
def test_a_change_beyond_them_is_refused(schema: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=said):
        jsonschema.validate(changes, schema)
