"""Evaluation of words' vectors: each word's nearest, and a map of the most frequent words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import DataSpec, Split
from components.data.text.vocabulary import FIRST, PADDING, UNKNOWN, Text, ids_by_word
from components.evaluate.evaluation import Words
from components.evaluate.results import Results
from components.models.families.word2vec import Outputs, Word2Vec
from components.plots.metric import Metric
from components.plots.palette import BLUE, INK
from components.plots.tables import Table, write_tables

NEAREST, MAPPED = 5, 70


def nearest_words(vectors: Tensor, ids: Sequence[int], count: int, among: int) -> list[list[tuple[int, float]]]:
    """For each word's id the `count` nearest by cosine: (id, cosine), the nearest first.

    among: of this many most frequent words; vectors of rare ones are hardly trained.
    """
    with torch.inference_mode():
        unit = functional.normalize(vectors.detach().float(), dim=1)
        own = torch.tensor(list(ids), dtype=torch.long, device=unit.device)
        others = torch.arange(FIRST, min(len(unit), FIRST + among), device=unit.device)
        cosines = unit[own] @ unit[others].T
        cosines[own[:, None] == others] = -torch.inf
        nearest = cosines.topk(min(count, max(0, len(others) - 1)), dim=1)
    pairs = zip((nearest.indices + FIRST).tolist(), nearest.values.tolist(), strict=True)
    return [list(zip(ids, cosines, strict=True)) for ids, cosines in pairs]


def shown_words(text: Text, wanted: Sequence[str]) -> list[str]:
    """Those of the wanted words that the vocabulary has; its most frequent ones where it has none."""
    known = set(text.words)
    return [word for word in wanted if word in known] or list(text.words[:10])


def _write(vectors: Tensor, text: Text, wanted: Sequence[str], among: int, folder: Path) -> None:
    """The table of nearest words, and words.png."""
    words = shown_words(text, wanted)
    places = ids_by_word(text)
    rows = []
    for word, neighbours in zip(words, nearest_words(vectors, [places[w] for w in words], NEAREST, among), strict=True):
        rows.append([word, ", ".join(f"{text.words[n - FIRST]} {cosine:.2f}" for n, cosine in neighbours)])
    note = f"By the cosine between vectors, of the {among:,} most frequent words. All that the training saw is "
    note += "which words stand near each other."
    write_tables(folder, [Table("Nearest words", ["word", f"its nearest {NEAREST}"], rows, note)])
    _draw_map(vectors[FIRST : FIRST + MAPPED], text.words[:MAPPED], folder / "words.png")


def _draw_map(vectors: Tensor, words: Sequence[str], file: Path) -> None:
    """The most frequent words on their first two principal components."""
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    unit = functional.normalize(vectors.detach().float(), dim=1).cpu().numpy()
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    if min(unit.shape) >= 2:
        # Signs of components are a matter of chance in the solver; the most frequent word stands to the upper right.
        places = PCA(2, random_state=0).fit_transform(unit)
        places = places * [1 if value >= 0 else -1 for value in places[0]]
        axis.scatter(places[:, 0], places[:, 1], s=4, color=BLUE)
        for (x, y), word in zip(places, words, strict=True):
            axis.annotate(
                word, (x, y), fontsize=8, xytext=(2, 2), textcoords="offset points", color=INK, parse_math=False
            )
    figure.savefig(file, dpi=160, metadata={"Software": None})


def evaluate(
    own: Words, model: nn.Module, outputs: Outputs, rows: np.ndarray, split: Split, folder: Path
) -> Mapping[str, float]:
    """The test loss; a table of nearest words and a map of the most frequent."""
    assert isinstance(model, Word2Vec)
    assert split.text is not None
    _write(model.vectors.weight, split.text, own.shown, own.nearest_of, folder)
    loss = (outputs.loss.double() / outputs.pairs.double().clamp(min=1)).mean().item()
    return {"loss": loss, "examples": len(rows), "vocabulary": len(split.text.words)}


def describe(own: Words, model: nn.Module, data: DataSpec, inputs: Tensor, outputs: Outputs) -> list[dict[str, Any]]:
    """For each text its known words, each with the nearest five and their cosines."""
    assert isinstance(model, Word2Vec)
    assert data.text is not None
    described = []
    for ids in inputs.tolist():
        known = list(dict.fromkeys(n for n in ids if n > UNKNOWN))
        nearest = nearest_words(model.vectors.weight, known, NEAREST, own.nearest_of)
        named = [{data.text.words[n - FIRST]: round(c, 4) for n, c in pairs} for pairs in nearest]
        neighbours = {data.text.words[n - FIRST]: near for n, near in zip(known, named, strict=True)}
        words, unknown = sum(n != PADDING for n in ids), ids.count(UNKNOWN)
        described.append({"nearest": neighbours, "words": words, "unknown": unknown})
    return described


METRICS = {"vocabulary": Metric("distinct words", of_test=False)}


def results(own: Words) -> Results:
    return Results(partial(evaluate, own), partial(describe, own), metrics=METRICS)


RESULTS = results
