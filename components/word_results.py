"""What words' vectors show: each word's nearest, and a map of the most frequent words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from components.data.vocabulary import FIRST, Text, numbers_by_word
from components.tables import Table, write_tables

NEAREST, MAPPED = 5, 70


def nearest(vectors: Tensor, numbers: Sequence[int], count: int, among: int) -> list[list[tuple[int, float]]]:
    """For each word's number the `count` nearest by cosine: (number, cosine), the nearest first.

    among: of this many most frequent words; vectors of rare ones are hardly trained.
    """
    with torch.inference_mode():
        unit = functional.normalize(vectors.detach().float(), dim=1)
        own = torch.tensor(list(numbers), dtype=torch.long, device=unit.device)
        others = torch.arange(FIRST, min(len(unit), FIRST + among), device=unit.device)
        cosines = unit[own] @ unit[others].T
        cosines[own[:, None] == others] = -torch.inf
        found = cosines.topk(min(count, max(0, len(others) - 1)), dim=1)
    pairs = zip((found.indices + FIRST).tolist(), found.values.tolist(), strict=True)
    return [list(zip(numbers, cosines, strict=True)) for numbers, cosines in pairs]


def shown_words(text: Text, wanted: Sequence[str]) -> list[str]:
    """Those of the wanted words that the vocabulary has; its most frequent ones where it has none."""
    known = set(text.words)
    return [word for word in wanted if word in known] or list(text.words[:10])


def write(vectors: Tensor, text: Text, wanted: Sequence[str], among: int, folder: Path) -> None:
    """The table of nearest words, and words.png."""
    words = shown_words(text, wanted)
    places = numbers_by_word(text)
    rows = []
    for word, found in zip(words, nearest(vectors, [places[w] for w in words], NEAREST, among), strict=True):
        rows.append([word, ", ".join(f"{text.words[n - FIRST]} {cosine:.2f}" for n, cosine in found)])
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
        axis.scatter(places[:, 0], places[:, 1], s=4, color="#1f6f8b")
        for (x, y), word in zip(places, words, strict=True):
            axis.annotate(
                word, (x, y), fontsize=8, xytext=(2, 2), textcoords="offset points", color="#22303c", parse_math=False
            )
    figure.savefig(file, dpi=160, metadata={"Software": None})
