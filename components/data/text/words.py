"""Texts into words, column by column: pandas in, pandas out.

Arrow splits the texts at whitespace and numbers the distinct pieces, a few per cent of all. Only those are cleaned,
split into words, looked up in the list of stopwords and lemmatised; then each text is put together from the results.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.data.text.steps import Steps
from components.process import cores

FEWEST_TEXTS = 2000  # that are worth a thread
WORDS_REMEMBERED = 2_000_000
TAG = r"<!--[\s\S]*?-->|<[!?/]?[A-Za-z][^<>]*>"  # not of "2 < 3", nor of "I <3 it"
ADDRESS = r"(?i)(^|\PL)(https?://|www\.)\S+"
APOSTROPHES = "[\u2018\u2019\u02bc\u00b4`]"
CONTRACTIONS = (  # in turn; the last takes 's, 'm, 're, 've, 'll and 'd off
    (r"(?i)\bcan't\b", "can not"),
    (r"(?i)\bwon't\b", "will not"),
    (r"(?i)\bshan't\b", "shall not"),
    (r"(?i)(\pL)n't\b", r"\1 not"),
    (r"(?i)(\pL)'(s|m|re|ve|ll|d)\b", r"\1"),
)
NO_WORD = r"[^\pL\pN']+|''+"
LOOSE_APOSTROPHES = ((r"(^| )'+", " "), (r"'+( |$)", " "))


class Words:
    """Takes texts apart as `steps` say. It remembers each distinct word's lemma from one call to the next.

    seen: each distinct word so far → what became of it: its lemma, or "" where it is removed.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.stopwords = stopwords(steps)
        self.seen: dict[str, str] = {}
        self._lemmatise = _lemmatiser(steps)

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with three columns more.

        In:  column `text`, strings.
        Out: also `words`, each text's remaining words with a space between; `before` and `after`, int32: how many
        words the text had, and how many remain (n-grams not counted).
        """
        if len(self.seen) > WORDS_REMEMBERED:
            self.seen.clear()
        texts = strings(frame["text"])
        count = cores.given()
        size = max(FEWEST_TEXTS, -(-len(texts) // count))
        parts = [texts.slice(start, size) for start in range(0, len(texts), size)]
        with ThreadPoolExecutor(count) as threads:  # Arrow works without Python's lock
            done = list(threads.map(self._apart, parts))
        words = pa.chunked_array([own for own, _, _ in done], type=pa.string())
        before, after = (
            np.concatenate([np.empty(0, np.int32), *(own[place] for own in done)]).astype(np.int32) for place in (1, 2)
        )
        return frame.assign(words=words.to_pandas().set_axis(frame.index), before=before, after=after)

    def _apart(self, texts: pa.Array) -> tuple[pa.Array, np.ndarray, np.ndarray]:
        """(each text's words, how many it had, how many remain)."""
        if self.steps.html:
            texts = _without_html(texts)
        pieces = pc.utf8_split_whitespace(texts)
        numbered = pc.dictionary_encode(pieces.flatten())
        numbers, offsets = numbered.indices.to_numpy(), pieces.offsets.to_numpy()
        results, had, remain = self._results(numbered.dictionary)
        counts = remain[numbers]
        left = counts > 0
        joined = _joined(results.take(pa.array(numbers[left])), _ends(left)[offsets])
        before, after = (np.diff(_ends(own)[offsets]) for own in (had[numbers], counts))
        return (_with_ngrams(joined, self.steps.ngrams) if self.steps.ngrams > 1 else joined), before, after

    def _results(self, pieces: pa.Array) -> tuple[pa.Array, np.ndarray, np.ndarray]:
        """Of each distinct piece: what remains of its words, how many it had, how many remain."""
        words = pc.utf8_split_whitespace(_cleaned(pieces, self.steps))
        numbered = pc.dictionary_encode(words.flatten())
        distinct = numbered.dictionary.to_pylist()
        results = [self._result(word) for word in distinct]
        numbers, offsets = numbered.indices.to_numpy(), words.offsets.to_numpy()
        real, kept = (np.array([bool(word) for word in own], dtype=bool)[numbers] for own in (distinct, results))
        chosen = pa.array(results, pa.string()).take(pa.array(numbers[kept]))
        ends = _ends(kept)[offsets]
        return _joined(chosen, ends), np.diff(_ends(real)[offsets]), np.diff(ends)

    def _result(self, word: str) -> str:
        """The word's lemma, or "" where it is removed. Splitting leaves empty words, which go too."""
        lemma = self.seen.get(word)
        if lemma is None:
            lemma = "" if not word or word in self.stopwords else self._lemmatise(word)
            if word:
                self.seen[word] = lemma
        return lemma


def strings(column: pd.Series[str]) -> pa.Array:
    """A column as one Arrow array of strings."""
    texts = pa.array(column, type=pa.string(), from_pandas=True)
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return whole.fill_null("")


def stopwords(steps: Steps) -> frozenset[str]:
    """The words that are removed."""
    listed: frozenset[str] = frozenset()
    if steps.stopwords == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        listed = ENGLISH_STOP_WORDS
    return (listed - frozenset(steps.keep)) | frozenset(steps.remove)


def _lemmatiser(steps: Steps) -> Callable[[str], str]:
    """A word → its lemma, with no space in it, and small letters if the steps ask for these (names get a large one)."""
    if steps.lemmas == "none":
        return lambda word: word
    from simplemma import lemmatize

    if steps.lowercase:
        return lambda word: lemmatize(word, lang=steps.lemmas).replace(" ", "_").lower()
    return lambda word: lemmatize(word, lang=steps.lemmas).replace(" ", "_")


def _without_html(texts: pa.Array) -> pa.Array:
    """Without tags, and with each character reference as its character."""
    bare = pc.replace_substring_regex(texts, TAG, " ")
    referring = pc.match_substring(bare, "&")
    if not pc.any(referring).as_py():
        return bare
    meant = pa.array([html.unescape(text) for text in bare.filter(referring).to_pylist()], pa.string())
    return pc.replace_with_mask(bare, referring, pc.replace_substring_regex(meant, TAG, " "))


def _cleaned(pieces: pa.Array, steps: Steps) -> pa.Array:
    """Pieces with their words between spaces."""
    if steps.urls:
        pieces = pc.replace_substring_regex(pieces, ADDRESS, " ")
    if steps.unicode != "none":
        pieces = pc.utf8_normalize(pieces, steps.unicode.upper())
    if steps.lowercase:
        pieces = pc.utf8_lower(pieces)
    pieces = pc.replace_substring_regex(pieces, APOSTROPHES, "'")
    if steps.contractions:
        pieces = _where(pc.match_substring(pieces, "'"), pieces, CONTRACTIONS)
    if steps.tokens == "words":
        pieces = pc.replace_substring_regex(pieces, NO_WORD, " ")
        pieces = _where(pc.match_substring(pieces, "'"), pieces, LOOSE_APOSTROPHES)
    return pieces


def _where(mask: pa.Array, pieces: pa.Array, replacements: tuple[tuple[str, str], ...]) -> pa.Array:
    """The pieces, with the patterns replaced in those under the mask, which are few."""
    few = pieces.filter(mask)
    for pattern, meant in replacements:
        few = pc.replace_substring_regex(few, pattern, meant)
    return pc.replace_with_mask(pieces, mask, few)


def _joined(words: pa.Array, ends: np.ndarray) -> pa.Array:
    """Words in groups that end at `ends`, which begins with 0; each group with a space between its words."""
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends, pa.int32()), words), " ")


def _ends(values: np.ndarray) -> np.ndarray:
    """The running sum of values, from 0 before the first: int32, one longer."""
    sums = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(values, out=sums[1:])
    return sums


def _with_ngrams(texts: pa.Array, longest: int) -> pa.Array:
    """Each text's words, each followed by the n-grams that end with it: "a b a_b c b_c"."""
    return pa.array([" ".join(_ngrams(text.split(" "), longest)) for text in texts.to_pylist()], pa.string())


def _ngrams(words: list[str], longest: int) -> Iterator[str]:
    for end in range(1, len(words) + 1):
        for start in range(end - 1, max(0, end - longest) - 1, -1):
            yield "_".join(words[start:end])
