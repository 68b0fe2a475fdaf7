"""The machine's cores are given out: a large stage takes all, any other takes one, and results come early."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from components.cluster import placement
from components.errors import UserError
from components.models.task import TrainingConfig
from components.params import params
from components.process import cores as own_cores
from flows import cores, head
from flows.graph import in_order
from flows.side_by_side import run_side_by_side

GRAPH = {
    "report": ("evaluate@ssd", "evaluate@cnn"),
    "evaluate@ssd": ("train@ssd", "split@voc"),
    "train@ssd": ("features@ssd",),
    "features@ssd": ("split@voc", "weights@ssd"),
    "weights@ssd": (),
    "split@voc": ("download@voc",),
    "download@voc": (),
    "evaluate@cnn": ("train@cnn", "split@mnist"),
    "train@cnn": ("split@mnist",),
    "split@mnist": ("download@mnist",),
    "download@mnist": (),
}
SMALL = {"cnn": True, "ssd": False}
LARGE = ["ssd"]


def test_the_order_is_depth_first_and_the_shortest_chain_comes_first() -> None:
    order = in_order(GRAPH)
    assert order[:4] == ["download@mnist", "split@mnist", "train@cnn", "evaluate@cnn"]
    assert order[-1] == "report"


@pytest.mark.parametrize(
    ("stage", "count"),
    [
        ("train@cnn", 1),
        ("train@ssd", 8),
        ("prepare@ssd", 8),
        ("prepare@cnn", 1),
        ("evaluate@ssd", 8),
        ("evaluate@cnn", 1),
        ("split@voc", 1),
        ("train@users_own", 1),
    ],
)
def test_large_stages_take_all_cores_and_the_others_one(stage: str, count: int) -> None:
    assert cores.taken(stage, SMALL, LARGE, total=8) == count


class Stages:
    """Stages that end when they are told to; `log` has each start and end."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.running: dict[str, Future[None]] = {}
        self.changed = threading.Condition()

    def start(self, stage: str, count: int) -> Future[None]:
        future = Future[None]()
        with self.changed:
            self.log.append(f"{stage} on {count}")
            self.running[stage] = future
            self.changed.notify()
        return future

    def end(self, *stages: str) -> None:
        """Each in turn, once it runs."""
        for stage in stages:
            with self.changed:
                assert self.changed.wait_for(lambda stage=stage: stage in self.running, 10), (stage, self.log)  # type: ignore[misc]
                future = self.running.pop(stage)
                self.log.append(f"{stage} ended")
            future.set_result(None)


def ran(
    graph: Mapping[str, tuple[str, ...]],
    takes: Callable[[str], int],
    ends: tuple[str, ...],
    total: int = 2,
    most: int = 4,
) -> list[str]:
    stages = Stages()
    thread = threading.Thread(target=stages.end, args=ends, daemon=True)
    thread.start()
    found = run_side_by_side(graph, in_order(graph), takes, total, 4, stages.start)
    thread.join(10)
    assert found.keys() == graph.keys()
    return stages.log


def test_a_large_stage_runs_alone_and_what_is_small_meanwhile_takes_the_core_that_it_waits_for() -> None:
    graph: dict[str, tuple[str, ...]] = {"first": (), "large": ("first",), "long": (), "small": ("first",)}
    log = ran(graph, lambda stage: 2 if stage == "large" else 1, ends=("first", "small", "long", "large"))
    assert log.index("first ended") < log.index("small on 1") < log.index("long ended"), log
    assert log[-2:] == ["large on 2", "large ended"]


def test_a_large_stage_that_comes_first_starts_first() -> None:
    graph: dict[str, tuple[str, ...]] = {"large": (), "b": ("large",), "c": ("large",)}
    log = ran(graph, lambda stage: 2 if stage == "large" else 1, ends=("large", "b", "c"))
    assert log[:2] == ["large on 2", "large ended"]
    assert sorted(log[2:4]) == ["b on 1", "c on 1"]


def test_stages_that_wait_for_none_run_side_by_side_and_their_followers_at_once() -> None:
    graph: dict[str, tuple[str, ...]] = {"a": (), "b": (), "after a": ("a",)}
    assert ran(graph, lambda _: 1, ends=("a", "after a", "b")) == [
        "b on 1", "a on 1", "a ended", "after a on 1", "after a ended", "b ended",
    ]  # fmt: skip


def test_what_has_nothing_to_do_waits_for_no_core() -> None:
    graph: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ()}
    log = ran(graph, lambda stage: 1 if stage == "a" else 0, ends=("b", "c", "a"), total=1)
    assert log[:3] == ["a on 1", "b on 0", "c on 0"]


def test_a_stage_that_asks_for_more_than_there_is_runs_alone() -> None:
    assert ran({"a": ()}, lambda _: 5, ends=("a",), total=2) == ["a on 5", "a ended"]


@pytest.fixture
def threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_a_small_network_gets_one_thread_unless_it_is_given_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(own_cores.VARIABLE, raising=False)
    own_cores.use(one=True)
    assert torch.get_num_threads() == 1
    own_cores.use()
    assert torch.get_num_threads() == own_cores.given() == cores.there_are()
    monkeypatch.setenv(own_cores.VARIABLE, "3")
    own_cores.use(one=True)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("text", ["0", "-1", "two", ""])
def test_a_number_of_cores_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(own_cores.VARIABLE, text)
    with pytest.raises(UserError, match=r"TRAINYARD_CORES: .* is not allowed: it takes an integer >= 1"):
        own_cores.given()
    with pytest.raises(ValueError, match=r"TRAINYARD_CORES: .* is not allowed: it takes an integer >= 1"):
        cores.there_are()


def test_the_flow_and_the_stages_mean_the_same_variable() -> None:
    assert cores.environment(2) == {own_cores.VARIABLE: "2", "OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("variables", "started"),
    [
        ({}, False),
        ({"TRAINYARD_WORKERS": "1"}, False),
        ({"TRAINYARD_WORKERS": "2"}, True),
        ({"TRAINYARD_WORKERS": "none"}, False),  # which the training refuses in its own words
        ({"CUDA_VISIBLE_DEVICES": "0"}, False),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, True),
        ({"CUDA_VISIBLE_DEVICES": "0,1", "TRAINYARD_WORKERS": "1"}, False),
        ({"CUDA_VISIBLE_DEVICES": ""}, False),
    ],
    ids=str,
)
def test_a_flow_starts_a_ray_head_for_several_workers_alone(
    variables: dict[str, str], started: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("TRAINYARD_WORKERS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(head, "NVIDIA", tmp_path / "no driver here")
    monkeypatch.setattr(head, "ray_head", lambda repo: nullcontext({"RAY_ADDRESS": "started"}))
    with head.head_for_trainings(tmp_path) as environment:
        assert (environment == {"RAY_ADDRESS": "started"}) == started


def test_a_training_takes_a_cluster_where_one_is_named_or_several_workers_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "TRAINYARD_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    assert [placement.is_asked_for(gpus) for gpus in (0, 1, 2)] == [False, False, True]
    monkeypatch.setenv("TRAINYARD_WORKERS", "1")
    assert not placement.is_asked_for(gpus=2)
    monkeypatch.setenv("TRAINYARD_WORKERS", "2")
    assert placement.is_asked_for(gpus=0)
    monkeypatch.setenv("TRAINYARD_WORKERS", "1")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert placement.is_asked_for(gpus=0)


@pytest.mark.parametrize(
    ("model", "changes", "small"),
    [
        ("cnn", {}, True),
        ("transfer", {}, True),
        ("transfer", {"freeze": 3}, False),
        ("transfer", {"flip": 0.5}, False),
        ("detection", {"store_features": False}, False),
        ("ssd", {}, False),
    ],
    ids=str,
)
def test_a_training_that_passes_images_through_a_backbone_is_not_small(
    model: str, changes: dict[str, Any], small: bool, committed: params.Params
) -> None:
    config = committed.sections[model].model_copy(update=changes)
    assert isinstance(config, TrainingConfig)
    assert config.small == small


def test_run_by_hand_an_lstm_takes_all_cores_though_a_flow_gives_it_one(committed: params.Params) -> None:
    lstm, cnn = (committed.sections[name] for name in ("lstm", "cnn"))
    assert isinstance(lstm, TrainingConfig)
    assert isinstance(cnn, TrainingConfig)
    assert (lstm.small, lstm.quicker_on_all) == (True, True)
    assert (cnn.small, cnn.quicker_on_all) == (True, False)
