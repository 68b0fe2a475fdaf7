"""Words as numbers: by the training subset alone, and the same ones for a text at any time later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.data.arrays import Split, open_split, save_split
from components.data.kind import Examples
from components.data.kinds import texts as reviews
from components.data.preprocess import preprocess
from components.data.split import split
from components.data.synthetic import reviews as synthetic_reviews
from components.data.text import vocabulary
from components.data.text.vocabulary import (
    FIRST,
    PADDING,
    UNKNOWN,
    ids_by_word,
    learn,
    map_ids,
    shortened,
    token_ids,
)
from components.data.text.words import Words
from components.errors import UserError
from components.params import params
from tests.conftest import fewer_images


@pytest.fixture(scope="module")
def made(made_splits: Callable[[str], Split]) -> Split:
    return made_splits("reviews")


def test_no_word_of_the_validation_or_test_subset_leaks_into_the_vocabulary(
    committed: params.Params, tmp_path: Path
) -> None:
    """Each text has a word of its own, twice; those of other parts than the training one must be unknown."""
    table = [{"text": f"film own{n}x own{n}x", "label": str(n % 2)} for n in range(100)]
    (tmp_path / "raw").mkdir()
    pd.DataFrame(table).to_csv(tmp_path / "raw" / "table.csv", index=False)
    (tmp_path / "raw" / "source.json").write_text('{"source": "table.csv"}')
    preprocess("reviews", committed, tmp_path / "raw", tmp_path / "text")
    split("reviews", committed, tmp_path / "text", tmp_path / "split")
    found = open_split(tmp_path / "split")
    assert found.text is not None
    assert {len(rows) for rows in found.rows.values()} == {64, 16, 20}
    assert set(found.text.words) == {"film", *(f"own{n}x" for n in found.rows["train"])}
    assert dict(zip(found.text.words, found.text.counts, strict=True))["film"] == 64
    assert (found.arrays["inputs"][found.rows["train"], :3] >= FIRST).all()
    others = np.concatenate([found.rows["validation"], found.rows["test"]])
    assert (found.arrays["inputs"][others, 1:3] == UNKNOWN).all()


def test_the_vocabulary_is_the_most_frequent_words_and_ties_are_in_alphabetical_order() -> None:
    inputs = np.array([[1, 1, 2, 3], [2, 4, 4, 0], [3, 3, 3, 3]], dtype=np.int32)
    lookup, words, counts = learn(("d", "c", "b", "a"), inputs, np.array([0, 1]), size=3, least=2)
    assert words == ("a", "c", "d")
    assert counts == (2, 2, 2)
    map_ids(inputs, lookup)
    assert inputs.tolist() == [[4, 4, 3, UNKNOWN], [3, 2, 2, PADDING], [UNKNOWN] * 4]


def test_size_and_least_both_limit_it() -> None:
    inputs = np.array([[1, 1, 1, 2, 2, 3]], dtype=np.int32)
    assert learn(("a", "b", "c"), inputs, np.array([0]), size=1, least=1)[1] == ("a",)
    assert learn(("a", "b", "c"), inputs, np.array([0]), size=9, least=2)[1] == ("a", "b")


@pytest.mark.parametrize(("cut", "left"), [("end", [1, 2, 3]), ("start", [5, 6, 7]), ("middle", [1, 2, 7])])
def test_a_long_text_is_cut_where_the_section_says(cut: str, left: list[int]) -> None:
    assert shortened(np.arange(1, 8), 3, cut).tolist() == left
    assert shortened(np.arange(1, 3), 3, cut).tolist() == [1, 2]


def test_a_text_has_the_same_numbers_alone_as_in_the_split(made: Split, tmp_path: Path) -> None:
    assert made.text is not None
    with fewer_images():
        synthetic_reviews.make(tmp_path)
    frame = Words(made.text.steps)(pd.read_csv(tmp_path / synthetic_reviews.FILE))
    known = ids_by_word(made.text)
    assert len(frame) == len(made.arrays["inputs"])
    for words, row in zip(frame["words"], made.arrays["inputs"], strict=True):
        assert token_ids(made.text, known, words).tolist() == row[row > 0].tolist()
    short = replace(made.text, length=4)
    assert token_ids(short, known, frame["words"].iloc[0]).tolist() == [
        *made.arrays["inputs"][0][:2],
        *made.arrays["inputs"][0][made.arrays["lengths"][0] - 2 : made.arrays["lengths"][0]],
    ]


def test_lengths_say_how_many_words_a_row_has(made: Split) -> None:
    inputs = np.asarray(made.arrays["inputs"])
    assert (made.arrays["lengths"] == (inputs > 0).sum(axis=1)).all()
    assert (made.arrays["lengths"] > 0).all()


def test_what_is_written_is_read_again(made: Split) -> None:
    assert made.text is not None
    assert vocabulary.load(made.text.dump()) == made.text
    assert made.spec.text == made.text


def test_another_vocabulary_is_another_fingerprint(made: Split, tmp_path: Path) -> None:
    assert made.text is not None
    prints = set()
    for number, own in enumerate((made.text, replace(made.text, cut="end"))):
        (tmp_path / str(number)).mkdir()
        save_split(tmp_path / str(number), made.arrays, made.rows, made.classes, text=own)
        prints.add(open_split(tmp_path / str(number)).fingerprint)
    assert len(prints) == 2


def test_a_vocabulary_with_no_word_names_the_setting(committed: params.Params, made: Split) -> None:
    section = committed.sections["reviews"]
    assert isinstance(section, reviews.Config)
    changed = section.model_copy(update={"vocabulary": section.vocabulary.model_copy(update={"least": 10**6})})
    examples = Examples(np.array(made.arrays["inputs"]), made.arrays["targets"], made.classes, None, words=("a",) * 999)
    with pytest.raises(UserError, match=r"reviews\.vocabulary\.least"):
        reviews.learn(changed, examples, made.rows)


def test_text_without_the_text_stage_says_what_makes_it(committed: params.Params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        reviews.examples(committed.sections["reviews"], tmp_path, tmp_path)  # type: ignore[arg-type]
