"""TF-IDF and its baselines: the weights by hand, the training subset alone, and figures that are measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.baselines import tfidf
from components.baselines.tfidf import Frequency, counts, evaluate, weights
from components.data.arrays import Split
from components.errors import UserError
from components.params import params
from components.plots.tables import Table, read_tables, write_tables

BaselineConfig = Callable[..., tfidf.Config]
FREQUENCIES: tuple[Frequency, ...] = ("log", "raw")


@pytest.fixture(scope="module")
def config(committed: params.Params) -> BaselineConfig:
    section = committed.sections["tfidf"].model_dump()
    return lambda **changes: tfidf.Config.model_validate({**section, **changes}, strict=False)


@pytest.fixture(scope="module")
def made(made_splits: Callable[[str], Split]) -> Split:
    return made_splits("reviews")


def small(made: Split, texts: list[list[int]], targets: list[int]) -> Split:
    """A split of a few texts, all in the training subset but for the last two."""
    assert made.text is not None
    text = replace(made.text, words=("alpha", "beta", "gamma"), counts=(3, 2, 1))
    count = len(texts)
    return replace(
        made,
        arrays={"inputs": np.array(texts, dtype=np.int32), "targets": np.array(targets)},
        rows={"train": np.arange(count - 2), "validation": np.arange(0), "test": np.arange(count - 2, count)},
        classes=("good", "bad"),
        text=text,
    )


def test_counts_leave_out_padding_and_unknown_words(made: Split) -> None:
    split = small(made, [[2, 2, 3, 0], [1, 4, 1, 0], [2, 0, 0, 0]], [0, 1, 0])
    assert counts(split, np.arange(3)).toarray().tolist() == [[2, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_the_weights_are_those_of_the_formula(made: Split) -> None:
    split = small(made, [[2, 2, 3, 0], [2, 4, 0, 0], [3, 3, 2, 0], [2, 0, 0, 0]], [0, 1, 0, 1])
    rare = math.log(3 / 2) + 1  # in one of two texts; "alpha" is in both: ln(3 / 3) + 1
    by_hand = {"log": [math.log(3), math.log(2) * rare, 0], "raw": [2, rare, 0]}
    of_test = {"log": [math.log(2), math.log(3) * rare, 0], "raw": [1, 2 * rare, 0]}
    for frequency in FREQUENCIES:
        train, test = (part.toarray()[0] for part in weights(split, frequency))
        for found, expected in ((train, by_hand[frequency]), (test, of_test[frequency])):
            assert found == pytest.approx(np.array(expected) / np.linalg.norm(expected))


def test_no_word_of_the_test_subset_changes_what_is_fitted(made: Split) -> None:
    turned = np.array(made.arrays["inputs"])
    test = made.rows["test"]
    turned[test] = turned[test][:, ::-1] // 2  # other words at other places
    other = replace(made, arrays={**made.arrays, "inputs": turned})
    for frequency in FREQUENCIES:
        assert (weights(made, frequency)[0] != weights(other, frequency)[0]).nnz == 0
        assert (weights(made, frequency)[1] != weights(other, frequency)[1]).nnz > 0


def test_no_class_of_the_test_subset_changes_what_is_fitted(
    config: BaselineConfig, made: Split, tmp_path: Path
) -> None:
    """Turning the test texts' classes turns the accuracy, and nothing that was learnt."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = evaluate(config(), made, tmp_path / "a")
    turned = np.array(made.arrays["targets"])
    turned[made.rows["test"]] = 1 - turned[made.rows["test"]]
    second = evaluate(config(), replace(made, arrays={**made.arrays, "targets": turned}), tmp_path / "b")
    for kind in tfidf.NAMES:
        for frequency in ("raw", "log"):
            assert second[kind][frequency] == pytest.approx(1 - first[kind][frequency])
    telling = [read_tables(tmp_path / name)[1][2] for name in ("a", "b")]
    assert telling[0] == telling[1]


def test_synthetic_reviews_are_told_apart_but_not_without_fault(
    config: BaselineConfig, made: Split, tmp_path: Path
) -> None:
    found = evaluate(config(), made, tmp_path)
    assert found["examples"] == len(made.rows["test"])
    assert 0.6 < found["logistic_regression"]["log"] <= 1
    _, (compared, alike, telling) = read_tables(tmp_path)
    assert {row[0] for row in compared.rows} >= {"Naive Bayes", "logistic regression"}
    assert compared.rows[-1][0].startswith("always ")
    assert [row[0] for row in telling.rows] == list(made.classes)
    assert len(alike.rows) == tfidf.QUERIES * (1 + tfidf.ALIKE)


def test_the_most_alike_text_is_the_one_with_the_same_words(
    config: BaselineConfig, made: Split, tmp_path: Path
) -> None:
    texts = [[2, 3, 0], [4, 4, 0], [2, 2, 3], [3, 0, 0], [4, 0, 0], [2, 3, 0]]
    evaluate(config(), small(made, texts, [0, 1, 0, 1, 1, 0]), tmp_path)
    rows = read_tables(tmp_path)[1][1].rows
    first, second = (place for place, row in enumerate(rows) if row[0] == "test text")
    assert rows[first + 1] == ["cosine 1.00", "bad", "gamma gamma"]
    assert rows[second + 1] == ["cosine 1.00", "good", "alpha beta"]


def test_one_term_frequency_gives_one_figure_for_each_classifier(
    config: BaselineConfig, made: Split, tmp_path: Path
) -> None:
    found = evaluate(config(term_frequency=("raw",)), made, tmp_path)
    assert {kind: list(found[kind]) for kind in tfidf.NAMES} == {kind: ["raw"] for kind in tfidf.NAMES}


def test_more_than_two_classes_have_words_of_their_own(config: BaselineConfig, made: Split, tmp_path: Path) -> None:
    targets = np.arange(len(made.arrays["targets"])) % 3
    three = replace(made, arrays={**made.arrays, "targets": targets}, classes=("a", "b", "c"))
    evaluate(config(), three, tmp_path)
    assert [row[0] for row in read_tables(tmp_path)[1][2].rows] == ["a", "b", "c"]


def test_data_that_are_no_texts_are_refused(config: BaselineConfig, made_split: Split, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tfidf\.data"):
        evaluate(config(), made_split, tmp_path)


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    tables = [Table("One", ["a", "b"], [["é", "2"]], "note"), Table("Two", ["a"], [])]
    write_tables(tmp_path, tables, "heading")
    assert read_tables(tmp_path) == ("heading", tables)
    assert read_tables(tmp_path / "none") == ("", [])
