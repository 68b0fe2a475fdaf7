"""The split's promises, for any data: disjoint, complete, in proportion, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.data.arrays import SUBSETS, Split
from components.data.kind import SplitConfig
from components.data.split import split_rows
from components.errors import UserError

CONFIG = SplitConfig(method="stratified", validation=0.2, test=0.2, seed=42)


@st.composite
def targets(draw: st.DrawFn) -> np.ndarray:
    """Class numbers of a set of 2 to 6 classes with 20 to 60 examples each, in any order."""
    counts = draw(st.lists(st.integers(20, 60), min_size=2, max_size=6))
    order = np.random.default_rng(draw(st.integers(0, 1000)))
    return order.permutation(np.repeat(np.arange(len(counts)), counts))


@given(targets(), st.integers(0, 2**31 - 1), st.booleans())
def test_parts_are_disjoint_and_complete(labels: np.ndarray, seed: int, has_test: bool) -> None:
    start = len(labels) // 2  # each class of 20 or more is on both sides, but for one draw in millions
    assume(all(len(np.unique(half)) == len(np.unique(labels)) for half in (labels[:start], labels[start:])))
    published = np.repeat([0, 2], [start, len(labels) - start]) if has_test else None
    rows = split_rows(labels, published, CONFIG.model_copy(update={"seed": seed}), "set.split")
    everything = np.concatenate([rows[part] for part in SUBSETS])
    assert sorted(everything) == list(range(len(labels)))
    if has_test:
        assert np.array_equal(rows["test"], np.arange(start, len(labels)))


@given(targets(), st.integers(0, 2**31 - 1))
def test_each_class_has_its_own_fraction_in_each_part(labels: np.ndarray, seed: int) -> None:
    rows = split_rows(labels, None, CONFIG.model_copy(update={"seed": seed}), "set.split")
    for part, fraction in (("test", 0.2), ("validation", 0.8 * 0.2), ("train", 0.8 * 0.8)):
        found = np.bincount(labels[rows[part]], minlength=labels.max() + 1)  # type: ignore[index]
        assert np.all(np.abs(found - fraction * np.bincount(labels)) <= 2)


@given(targets(), st.integers(0, 2**31 - 1))
def test_the_same_seed_gives_the_same_split_and_another_seed_another(labels: np.ndarray, seed: int) -> None:
    first, again = (split_rows(labels, None, CONFIG.model_copy(update={"seed": seed}), "s") for _ in range(2))
    assert all(np.array_equal(first[part], again[part]) for part in SUBSETS)
    other = split_rows(labels, None, CONFIG.model_copy(update={"seed": (seed + 1) % 2**31}), "s")
    assert any(not np.array_equal(first[part], other[part]) for part in SUBSETS)


def test_rows_of_a_published_split_stay_where_they_are_in_any_order() -> None:
    labels = np.tile([0, 1], 30)
    published = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], 20))
    rows = split_rows(labels, published, CONFIG, "set.split")
    assert [rows[part].tolist() for part in SUBSETS] == [np.flatnonzero(published == n).tolist() for n in range(3)]


def test_head_takes_the_first_12000_of_mnists_60000_and_leaves_its_test_subset_alone() -> None:
    labels = np.arange(70_000) % 10
    published = np.repeat([0, 2], [60_000, 10_000])
    rows = split_rows(labels, published, CONFIG.model_copy(update={"method": "head"}), "mnist.split")
    assert np.array_equal(rows["validation"], np.arange(12_000))
    assert np.array_equal(rows["train"], np.arange(12_000, 60_000))
    assert np.array_equal(rows["test"], np.arange(60_000, 70_000))


def test_head_on_a_set_sorted_by_class_is_refused() -> None:
    labels = np.repeat(np.arange(10), 500)
    with pytest.raises(UserError, match=r"mnist\.split\.method: head leaves no example.*sorted by class"):
        split_rows(labels, None, CONFIG.model_copy(update={"method": "head"}), "mnist.split")


def test_a_class_too_rare_to_share_is_refused() -> None:
    labels = np.array([0] * 50 + [1])
    with pytest.raises(UserError, match=r"mnist\.split"):
        split_rows(labels, None, CONFIG, "mnist.split")


def test_an_opened_split_is_memory_mapped_and_read_only(made_split: Split) -> None:
    assert isinstance(made_split.arrays["inputs"].base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        made_split.arrays["inputs"][0] = 0
    assert made_split.spec.input_shape == (1, 28, 28)
    assert {part: len(rows) for part, rows in made_split.rows.items()} == {"train": 800, "validation": 200, "test": 200}
