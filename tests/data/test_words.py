"""Texts into words: each step does what it says, and all together do what a loop over tokens does."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.text import per_token
from components.data.synthetic.reviews import reviews
from components.data.text import words
from components.data.text.steps import Steps
from components.data.text.words import Words, stopwords
from components.params import params

PLAIN: dict[str, Any] = {
    "html": False,
    "urls": False,
    "unicode": "none",
    "lowercase": False,
    "contractions": False,
    "tokens": "whitespace",
    "stopwords": "none",
    "keep": (),
    "remove": (),
    "lemmas": "none",
    "ngrams": 1,
}


@pytest.fixture(scope="module")
def committed_steps(committed: params.Params) -> Steps:
    steps: Steps = committed.sections["reviews"].steps  # type: ignore[attr-defined]
    return steps


def one(text: str, **changes: Any) -> str:
    """A text's words after no step but those that are named."""
    frame = pd.DataFrame({"text": [text]})
    return str(Words(Steps(**{**PLAIN, **changes}))(frame)["words"].iloc[0])


@pytest.mark.parametrize(
    ("changes", "text", "expected"),
    [
        ({}, "  Two\twords,\n here. ", "Two words, here."),
        ({"tokens": "words"}, "Two words, 'here': it's_so—99%!", "Two words here it's so 99"),
        ({"tokens": "words"}, "'tis rock'n'roll ''quoted'' O'Brien'", "tis rock'n'roll quoted O'Brien"),
        ({"html": True}, "one<br /><br />two &amp; caf&eacute;", "one two & café"),
        ({"urls": True}, "see https://a.org/x?y=1 or WWW.b.com now", "see or now"),
        ({"html": True}, "I <3 it, 2 < 3 &lt;br&gt; <!-- a > b -->x</b>", "I <3 it, 2 < 3 x"),
        ({"urls": True}, "Awwww.cute (www.a.org)", "Awwww.cute"),
        ({"unicode": "nfkc"}, "ﬁlm Ⅷ", "film VIII"),
        ({"unicode": "nfc"}, "cafe\u0301 ﬁlm", "café ﬁlm"),
        ({"lowercase": True}, "LOUD Été", "loud été"),
        ({"contractions": True}, "isn't can't won't it's I'd", "is not can not will not it I"),
        ({"contractions": True}, "isn\u2019t", "is not"),
        ({"stopwords": "english"}, "the film and not the book", "film book"),
        ({"stopwords": "english", "keep": ("not",)}, "the film and not the book", "film not book"),
        ({"remove": ("film",)}, "the film", "the"),
        ({"lemmas": "en"}, "films were running", "film be run"),
        ({"ngrams": 3}, "a b c", "a b a_b c b_c a_b_c"),
        ({"ngrams": 2}, "a", "a"),
        ({"html": True, "urls": True, "tokens": "words"}, "<p>!!</p> http://x.y", ""),
        ({}, "", ""),
    ],
    ids=str,
)
def test_a_step_does_what_it_says(changes: dict[str, Any], text: str, expected: str) -> None:
    assert one(text, **changes) == expected


def test_negations_stay_with_the_committed_steps(committed_steps: Steps) -> None:
    frame = pd.DataFrame({"text": ["It isn't good, and I never laughed; nobody couldn't be better."]})
    found = Words(committed_steps)(frame)["words"].iloc[0].split()
    assert [word for word in found if word in ("not", "never", "nobody")] == ["not", "never", "nobody", "not"]


def test_words_are_counted_before_and_after(committed_steps: Steps) -> None:
    found = Words(committed_steps)(pd.DataFrame({"text": ["The films were <b>good</b>.", "", "the and"]}))
    assert found["words"].tolist() == ["film good", "", ""]
    assert found["before"].tolist() == [4, 0, 2]
    assert found["after"].tolist() == [2, 0, 0]


def test_the_frame_keeps_its_columns_rows_and_index(committed_steps: Steps) -> None:
    frame = pd.DataFrame({"text": ["a good film", "bad"], "label": ["x", "y"]}, index=[7, 3])
    found = Words(committed_steps)(frame)
    assert found.index.tolist() == [7, 3]
    assert found["label"].tolist() == ["x", "y"]
    assert frame.columns.tolist() == ["text", "label"]


def test_no_rows_give_no_rows(committed_steps: Steps) -> None:
    found = Words(committed_steps)(pd.DataFrame({"text": pd.Series([], dtype=object)}))
    assert len(found) == 0
    assert {"words", "before", "after"} <= set(found)


def test_the_words_are_those_of_a_loop_over_tokens(committed_steps: Steps) -> None:
    texts = reviews(300, seed=1)["text"].tolist()
    assert Words(committed_steps)(pd.DataFrame({"text": texts}))["words"].tolist() == per_token(
        texts, stopwords(committed_steps)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="aBn't\u2019.<>&;/ \n-_é'ﬁ1wW:", max_size=40), max_size=4))
def test_the_words_of_any_text_are_those_of_a_loop_over_tokens(texts: list[str]) -> None:
    steps = Steps(
        **{**PLAIN, "html": True, "urls": True, "unicode": "nfkc", "lowercase": True, "contractions": True},
    ).model_copy(update={"tokens": "words", "lemmas": "en", "remove": ("a",)})
    assert Words(steps)(pd.DataFrame({"text": texts}, dtype=object))["words"].tolist() == per_token(texts, {"a"})


def test_many_texts_in_threads_give_what_one_by_one_does(
    committed_steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = reviews(60, seed=2)
    alone = pd.concat([Words(committed_steps)(frame.iloc[[row]]) for row in range(len(frame))])
    monkeypatch.setattr(words, "FEWEST_TEXTS", 7)
    monkeypatch.setenv("TRAINYARD_CORES", "3")
    pd.testing.assert_frame_equal(Words(committed_steps)(frame), alone)


def test_each_distinct_word_is_lemmatised_once_over_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def lemmatize(word: str, lang: str) -> str:
        asked.append(word)
        return word

    monkeypatch.setattr("simplemma.lemmatize", lemmatize)
    taken = Words(Steps(**{**PLAIN, "lemmas": "en"}))
    for _ in range(2):
        taken(pd.DataFrame({"text": ["one two one"] * 5 + ["two three"]}))
    assert sorted(asked) == ["one", "three", "two"]


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValidationError, match=r"simplemma knows .*de.*"):
        Steps(**{**PLAIN, "lemmas": "xx"})
    assert Steps(**{**PLAIN, "lemmas": "de"}).lemmas == "de"
