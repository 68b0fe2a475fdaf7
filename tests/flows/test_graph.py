"""Which stages a target needs, in which order, and which of them a change can reach."""

from __future__ import annotations

import pytest

from flows.graph import in_order, may_change, needed

GRAPH = {
    "report": ("evaluate@a", "evaluate@b"),
    "evaluate@b": ("train@b", "split"),
    "train@b": ("split",),
    "evaluate@a": ("train@a", "split"),
    "train@a": ("split",),
    "split": (),
}


def test_a_stage_comes_after_all_that_it_waits_for() -> None:
    order = in_order(GRAPH)
    assert sorted(order) == sorted(GRAPH)
    assert all(order.index(above) < order.index(name) for name in GRAPH for above in GRAPH[name])


def test_a_change_reaches_what_is_downstream_and_nothing_else() -> None:
    assert may_change(GRAPH, {"train@a"}) == {"train@a", "evaluate@a", "report"}
    assert may_change(GRAPH, {"split"}) == set(GRAPH)
    assert may_change(GRAPH, set()) == set()


def test_a_target_brings_what_it_needs() -> None:
    assert set(needed(GRAPH, ["evaluate@a"])) == {"evaluate@a", "train@a", "split"}


def test_a_group_is_all_its_stages() -> None:
    assert set(needed(GRAPH, ["train"])) == {"train@a", "train@b", "split"}


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no stage is called 'trian'; the stages: report"):
        needed(GRAPH, ["trian"])
