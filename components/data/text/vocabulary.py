"""Words as token ids: 0 pads, 1 is any word that the vocabulary lacks, then by falling frequency."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.data.text.steps import Steps

PADDING, UNKNOWN, FIRST = 0, 1, 2
WORDS_SHOWN = 45
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Text:
    """A vocabulary and how texts were made of it: all that a model of texts must know.

    words:  the vocabulary; words[i] has the id i + 2.
    counts: how often each of them stands in the training subset.
    steps:  what makes words of a text.
    length: the most words of a text that are kept.
    cut:    where a longer one is cut.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    steps: Steps
    length: int
    cut: str

    def dump(self) -> str:
        """As JSON."""
        values = {"words": self.words, "counts": self.counts, "length": self.length, "cut": self.cut}
        return json.dumps({**values, "steps": self.steps.model_dump(mode="json")}, ensure_ascii=False, indent=0) + "\n"

    def read_back(self, ids: np.ndarray) -> str:
        """The first words of a text, (length,), from their token ids; … stands for one that the vocabulary lacks."""
        known = [self.words[n - FIRST] if n != UNKNOWN else "…" for n in ids[ids != PADDING]]
        return " ".join([*known[:WORDS_SHOWN], *(["[…]"] if len(known) > WORDS_SHOWN else [])])


def load(text: str) -> Text:
    """Read what `Text.dump` gave."""
    values = json.loads(text)
    steps = Steps.model_validate_json(json.dumps(values["steps"]))
    return Text(tuple(values["words"]), tuple(values["counts"]), steps, values["length"], values["cut"])


def shortened(ids: np.ndarray, length: int, cut: str) -> np.ndarray:
    """At most `length` of a text's words: without its end, its start or its middle."""
    if len(ids) <= length:
        return ids
    if cut == "end":
        return ids[:length]
    if cut == "start":
        return ids[-length:]
    return np.concatenate([ids[: length - length // 2], ids[len(ids) - length // 2 :]])


def as_ids(file: Path, length: int, cut: str, scratch: Path) -> tuple[np.ndarray, tuple[str, ...], Mapping[str, Any]]:
    """The texts of a file that the text stage wrote: ((texts, length) int32, the distinct words, other columns).

    An id says which of the distinct words, from 1; 0 pads. The array is memory-mapped from the scratch folder.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as opened:
        rows = opened.metadata.num_rows
        inputs = np.lib.format.open_memmap(scratch / "ids.npy", "w+", np.int32, (rows, length))
        known: dict[str, int] = {}
        others: dict[str, list[str]] = {"label": [], "subset": []}
        start = 0
        for batch in opened.iter_batches(batch_size=ROWS_AT_ONCE):
            pieces = pc.utf8_split_whitespace(batch["words"])
            distinct = pc.dictionary_encode(pieces.flatten())
            own = np.array([known.setdefault(w, len(known) + 1) for w in distinct.dictionary.to_pylist()], np.int32)
            ids = own[distinct.indices.to_numpy()]
            for row, text in enumerate(np.split(ids, pieces.offsets.to_numpy()[1:-1]), start):
                text = shortened(text, length, cut)
                inputs[row, : len(text)] = text
            start += len(batch)
            for name, values in others.items():
                values.extend(batch[name].to_pylist())
    return inputs, tuple(known), others


def learn(
    words: tuple[str, ...], inputs: np.ndarray, rows: np.ndarray, size: int, least: int
) -> tuple[np.ndarray, tuple[str, ...], tuple[int, ...]]:
    """The most frequent words of some rows: (old id → new id, the words, their counts in these rows).

    words:  what the ids in `inputs` stand for, from 1.
    size:   the most words to choose; least: how often a chosen one stands there at least.
    Of two words that are as frequent the first in the alphabet comes first.
    """
    counts = np.zeros(len(words) + 1, dtype=np.int64)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        counts += np.bincount(inputs[rows[start : start + ROWS_AT_ONCE]].ravel(), minlength=len(counts))
    counts[0] = 0
    candidates = np.flatnonzero(counts >= least)
    order = sorted(candidates.tolist(), key=lambda i: (-counts[i], words[i - 1]))[:size]
    lookup = np.full(len(counts), UNKNOWN, dtype=np.int32)
    lookup[0] = PADDING
    lookup[order] = np.arange(FIRST, FIRST + len(order))
    return lookup, tuple(words[i - 1] for i in order), tuple(int(counts[i]) for i in order)


def map_ids(inputs: np.ndarray, lookup: np.ndarray) -> None:
    """Replace every id by the one that `lookup` has for it, in place."""
    for start in range(0, len(inputs), ROWS_AT_ONCE):
        inputs[start : start + ROWS_AT_ONCE] = lookup[inputs[start : start + ROWS_AT_ONCE]]


def ids_by_word(text: Text) -> dict[str, int]:
    """Each word of the vocabulary → its id."""
    return {word: i for i, word in enumerate(text.words, FIRST)}


def token_ids(text: Text, known: Mapping[str, int], words: str) -> np.ndarray:
    """One text's words, with a space between, as token ids: int32, at most text.length of them."""
    ids = np.array([known.get(word, UNKNOWN) for word in words.split()], dtype=np.int32)
    return shortened(ids, text.length, text.cut)
