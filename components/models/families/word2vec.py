"""word2vec: skip-gram with negative sampling (Mikolov, Sutskever, Chen, Corrado and Dean 2013).

Each word learns to tell the words around it from noise words. All pairs of a batch share one draw of noise words, so
that the work is one product of matrices (Ji, Satish, Li and Dubey 2016, arXiv:1604.04661).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import DataSpec
from components.data.text.vocabulary import FIRST, UNKNOWN, Text
from components.errors import UserError
from components.models.task import NOT_COMPARABLE, Batch, Epochs, Keep, LearningRate, Task, TrainingConfig
from components.models.text_batches import by_length, text_batch


class Config(TrainingConfig):
    reads = ("texts",)

    dimensions: int = Field(100, ge=1, description="an integer >= 1: components of a word's vector")
    window: int = Field(
        5, ge=1, description="an integer >= 1: the most words to either side that count as around a word"
    )
    negatives: int = Field(5, ge=1, description="an integer >= 1: noise words for each word around")
    shared_noise: int = Field(
        512, ge=1, description="an integer >= 1: noise words drawn for a batch, which its pairs share"
    )
    noise_power: float = Field(
        0.75, ge=0, le=1, description="a number from 0 to 1: noise is drawn by frequency to this power"
    )
    subsample: float = Field(
        0.001, gt=0, description="a number > 0: words of a larger relative frequency are passed over the more often"
    )
    epochs: Epochs = 8
    learning_rate: LearningRate = 0.005
    keep: Keep = "last"

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        return ("dimensions",)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        return {"dimensions": "dimensions"}

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        counted = ("window", "negatives", "shared_noise", "noise_power", "subsample")  # what the loss is over
        return {**super().unsearchable(), **dict.fromkeys(counted, NOT_COMPARABLE)}


class Outputs(NamedTuple):
    """Of each text, (batch,): the loss of its pairs in nats, summed, and their number."""

    loss: Tensor
    pairs: Tensor


class Word2Vec(nn.Module):
    """Token ids (batch, words), 0 behind a shorter text → Outputs."""

    noise: Tensor
    keep: Tensor

    def __init__(self, config: Config, text: Text) -> None:
        super().__init__()
        self.config = config
        size = FIRST + len(text.words)
        self.vectors = nn.Embedding(size, config.dimensions)
        self.contexts = nn.Embedding(size, config.dimensions)
        nn.init.uniform_(self.vectors.weight, -0.5 / config.dimensions, 0.5 / config.dimensions)
        nn.init.zeros_(self.contexts.weight)
        counts = torch.tensor([0, 0, *text.counts], dtype=torch.float64)
        noise = counts**config.noise_power * (counts > 0)
        # Mikolov et al. 2013, section 2.3, as their program has it: kept with probability sqrt(t / f) + t / f.
        fraction = counts / counts.sum()
        keep = torch.where(fraction > 0, (config.subsample / fraction).sqrt() + config.subsample / fraction, 0.0).clamp(
            max=1
        )
        self.register_buffer("noise", (noise / noise.sum()).cumsum(0).float(), persistent=False)
        self.register_buffer("keep", keep.float(), persistent=False)

    def forward(self, ids: Tensor) -> Outputs:
        random = self._random(ids.device)
        words, texts = self._kept(ids, random)
        centres, contexts = self._pairs(words, texts, random)
        vectors, around = self.vectors(words), self.contexts(words)
        losses = functional.softplus(-(vectors[centres] * around[contexts]).sum(dim=1).float())
        drawn = torch.rand(self.config.shared_noise, generator=random, device=ids.device)
        noise = torch.searchsorted(self.noise, drawn, right=True).clamp(max=len(self.noise) - 1)
        pairs = torch.bincount(centres, minlength=len(words))
        against = functional.softplus((vectors @ self.contexts(noise).T).float()).mean(dim=1) * self.config.negatives
        sums = torch.zeros(len(ids), 2, device=ids.device)  # of losses, of pairs
        sums = sums.index_add(0, texts[centres], torch.stack([losses, torch.ones_like(losses)], dim=1))
        sums = sums.index_add(0, texts, torch.stack([against * pairs, torch.zeros_like(against)], dim=1))
        return Outputs(sums[:, 0], sums[:, 1])

    def _random(self, device: torch.device) -> torch.Generator | None:
        """PyTorch's own in training, whose state checkpoints hold; outside the same one for each batch."""
        if self.training:
            return None
        return torch.Generator(device).manual_seed(self.config.seed)

    def _kept(self, ids: Tensor, random: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(the known words that are not passed over, the text of each), both (words,)."""
        chance = torch.rand(ids.shape, generator=random, device=ids.device)
        kept = (ids > UNKNOWN) & (chance < self.keep[ids])
        return ids[kept], kept.nonzero()[:, 0]

    def _pairs(self, words: Tensor, texts: Tensor, random: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(the places of centres, of their contexts) in `words`, each centre with a window drawn from 1 to `window`."""
        windows = torch.randint(1, self.config.window + 1, words.shape, generator=random, device=words.device)
        places = torch.arange(len(words), device=words.device)
        centres, contexts = [], []
        for distance in range(1, min(self.config.window, max(1, len(words) - 1)) + 1):
            first, second = places[:-distance], places[distance:]
            together = texts[first] == texts[second]
            for centre, context in ((first, second), (second, first)):
                near = together & (windows[centre] >= distance)
                centres.append(centre[near])
                contexts.append(context[near])
        return torch.cat(centres), torch.cat(contexts)


def build(config: Config, data: DataSpec) -> Word2Vec:
    """The model. Raises UserError when the data are no texts."""
    if data.text is None:
        raise UserError(f"{config.where}.data: {config.data} holds no texts")
    return Word2Vec(config, data.text)


def loss(config: Config, outputs: Outputs, batch: Batch) -> Tensor:
    """In nats: the mean over texts of the mean over a text's pairs, so that each text counts the same on any worker.

    Of a pair: -log s(u_context . v) - negatives x the mean over noise words of log s(-u_noise . v).
    """
    mean: Tensor = (outputs.loss / outputs.pairs.clamp(min=1)).mean()
    return mean


def metrics(outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
    """None: the loss says it."""
    return {}


TASK = Task(
    name="word2vec",
    config=Config,
    build=build,
    batch=text_batch,
    loss=loss,
    metrics=metrics,
    order=by_length,
)
