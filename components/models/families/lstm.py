"""A recurrent classifier of texts after the course notes: words as vectors, LSTM or plain RNN, and one dense layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import DataSpec
from components.data.text.vocabulary import FIRST, PADDING
from components.errors import UserError
from components.models import classification
from components.models.recurrent import Recurrent, pooled
from components.models.task import READ_BEFORE, Clip, Epochs, Goal, Task
from components.models.text_batches import by_length, text_batch
from components.models.word_vectors import vectors_for

Width = Annotated[int, Field(ge=1)]
MOST_ONE_HOT = 5000
WORD2VEC = "word2vec"  # the family


class Config(classification.Config):
    reads = ("texts",)

    cell: Literal["lstm", "rnn"] = Field("lstm", description="lstm | rnn (plain)")
    encoding: Literal["integer", "one_hot", "embedding"] = Field(
        "embedding", description="integer (one id a word) | one_hot | embedding (vectors; `start` may name a word2vec)"
    )
    embedding: int = Field(100, ge=1, description="an integer >= 1: components of a word's vector")
    train_embedding: bool = Field(True, description="true | false, whether the words' vectors are trained (further)")
    widths: tuple[Width, ...] = Field(
        (64,), min_length=1, description="a list of integers >= 1, one per recurrent layer"
    )
    both_ways: bool = Field(True, description="true | false: read from the end, too")
    pooling: Literal["last", "mean", "max"] = Field("max", description="last | mean | max: which steps' outputs decide")
    truncation: int = Field(
        0, ge=0, description="an integer >= 0: steps that gradients go back at most; 0: all the way"
    )
    memory: int = Field(0, ge=0, description="an integer >= 0: steps an LSTM begins to remember; 0: as PyTorch starts")
    embedding_dropout: float = Field(
        0.3, ge=0, lt=1, description="a number in [0, 1), of the components of words' vectors"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="a number in [0, 1), between layers and before the last")
    epochs: Epochs = 6
    clip: Clip = "norm"

    @classmethod
    def starts_from(cls, family: str) -> tuple[str, ...]:
        return (*super().starts_from(family), WORD2VEC)

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        return ("widths",)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        if family == WORD2VEC:
            return {"embedding": "dimensions"}
        return {key: key for key in ("cell", "encoding", "embedding", "widths", "both_ways")}

    @classmethod
    def prepared_from(cls) -> tuple[str, ...]:
        return ("encoding", "embedding")

    def start_fault(self, family: str) -> str:
        if family == WORD2VEC and self.encoding != "embedding":
            return f"with encoding: {self.encoding} words have no vectors; set encoding: embedding, or start: none"
        return ""

    @property
    def quicker_on_all(self) -> bool:
        """1.4 times on two cores (`python -m bench.loop lstm`), where two trainings side by side do 2 times as much."""
        return True

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        return {**super().unsearchable(), "encoding": READ_BEFORE, "embedding": READ_BEFORE}


class TextClassifier(nn.Module):
    """Token ids (batch, words), 0 behind a shorter text → logits (batch, classes)."""

    def __init__(self, config: Config, words: int, classes: int) -> None:
        super().__init__()
        self.config, self.words = config, words
        width = {"integer": 1, "one_hot": words}.get(config.encoding, config.embedding)
        self.embedding: nn.Embedding | None = None
        if config.encoding == "embedding":
            self.embedding = nn.Embedding(words, config.embedding, padding_idx=PADDING)
            nn.init.normal_(self.embedding.weight, std=0.1)
            with torch.no_grad():
                self.embedding.weight[PADDING] = 0
            self.embedding.weight.requires_grad_(config.train_embedding)
        self.recurrent = Recurrent(
            config.cell, width, config.widths, config.both_ways, config.dropout, config.truncation, config.memory
        )
        self.dense = nn.Linear(self.recurrent.width, classes)

    def vectors(self, ids: Tensor) -> Tensor:
        """Words as the recurrent layers take them: (batch, words, width)."""
        if self.embedding is not None:
            vectors: Tensor = self.embedding(ids)
            return vectors
        if self.config.encoding == "one_hot":
            return functional.one_hot(ids, self.words).float()
        return (ids / self.words)[..., None]

    def forward(self, ids: Tensor) -> Tensor:
        lengths = (ids != PADDING).sum(dim=1).clamp(min=1)
        vectors = self.vectors(ids)
        if self.embedding is not None:  # dropout would turn a word's id, or its one 1, into another word's
            vectors = functional.dropout(vectors, self.config.embedding_dropout, self.training)
        features = pooled(self.recurrent(vectors, lengths), lengths, self.config.pooling, self.config.both_ways)
        logits: Tensor = self.dense(functional.dropout(features, self.config.dropout, self.training))
        return logits

    def start(self, weights: Mapping[str, Tensor]) -> None:
        """Take the words' vectors of another model."""
        if self.embedding is not None:
            assert weights["vectors"].shape == self.embedding.weight.shape
            with torch.no_grad():
                self.embedding.weight.copy_(weights["vectors"])


def build(config: Config, data: DataSpec) -> TextClassifier:
    """The network. Raises UserError when the data are no texts, or too many words for one-hot vectors."""
    if data.text is None:
        raise UserError(f"{config.where}.data: {config.data} holds no texts")
    words = FIRST + len(data.text.words)
    if config.encoding == "one_hot" and words > MOST_ONE_HOT:
        raise UserError(
            f"{config.where}.encoding: one_hot makes vectors of {words:,} numbers for each word; "
            f"set {config.data}.vocabulary.size to {MOST_ONE_HOT - FIRST} or less, or encoding: embedding"
        )
    return TextClassifier(config, words, len(data.classes))


TASK = Task(
    name="lstm",
    config=Config,
    build=build,
    batch=text_batch,
    loss=classification.loss,
    metrics=classification.metrics,
    order=by_length,
    take=vectors_for,
    goal=Goal("accuracy", more=True),
)
