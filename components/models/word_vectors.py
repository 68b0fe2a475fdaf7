"""word2vec's vectors as the weights that a classifier of texts starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.data.arrays import DataSpec
from components.data.text.vocabulary import FIRST, ids_by_word
from components.errors import UserError


def vectors_for(config: Any, own: DataSpec, trained: nn.Module, of: DataSpec) -> Mapping[str, Tensor]:
    """{"vectors": (token ids, width) float32, in the order of `own`'s vocabulary}. Raises UserError when none fit.

    trained: a word2vec, whose `vectors` are an embedding of the words that the data `of` had.
    A word that it does not know starts as zeros, as padding does.
    """
    if own.text is None or of.text is None:
        raise UserError(f"{config.where}.start: {config.start} knows words, and {config.data} holds no texts")
    given = trained.get_parameter("vectors.weight").detach()
    if given.shape[1] != config.embedding:
        raise UserError(
            f"{config.where}.embedding: {config.embedding}, but {config.start} has dimensions: {given.shape[1]}; "
            f"make them the same"
        )
    places = ids_by_word(of.text)
    vectors = torch.zeros(FIRST + len(own.text.words), config.embedding)
    for token, word in enumerate(own.text.words, FIRST):
        if word in places:
            vectors[token] = given[places[word]]
    if not vectors.any():
        raise UserError(
            f"{config.where}.start: {config.start} knows none of the words of {config.data}; set the same `data` for "
            f"both, or start: none"
        )
    return {"vectors": vectors}
