"""word2vec: its loss is that of the paper, its noise and its subsampling too, and words that stand alike come near."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid

from components.data.arrays import DataSpec, Split
from components.data.text.steps import Steps
from components.data.text.vocabulary import FIRST, Text, ids_by_word
from components.errors import UserError
from components.evaluate.word2vec import nearest_words, shown_words
from components.models.families import word2vec
from components.models.families.word2vec import TASK, Word2Vec
from components.models.task import Batch
from components.params import params
from components.train.loop import fit
from tests.conftest import CPU

STEPS = Steps(
    html=False,
    urls=False,
    unicode="none",
    lowercase=False,
    contractions=False,
    tokens="whitespace",
    stopwords="none",
    keep=(),
    remove=(),
    lemmas="none",
    ngrams=1,
)


def text(*counts: int) -> Text:
    return Text(tuple(f"word{n}" for n in range(len(counts))), counts, STEPS, length=50, cut="end")


@pytest.fixture(scope="module")
def config(committed: params.Params) -> Callable[..., word2vec.Config]:
    section = committed.sections["word2vec"].model_dump()
    return lambda **changes: word2vec.Config.model_validate({**section, **changes}, strict=False)


def random_model(config: word2vec.Config, own: Text) -> Word2Vec:
    torch.manual_seed(0)
    model = Word2Vec(config, own)
    torch.nn.init.normal_(model.vectors.weight)
    torch.nn.init.normal_(model.contexts.weight)
    return model


def by_hand(model: Word2Vec, numbers: list[int], window: int, negatives: int, noise: list[int]) -> tuple[float, int]:
    """The summed loss of one text with whole windows, pair by pair, and how many pairs there are."""
    total, pairs = 0.0, 0
    for place, centre in enumerate(numbers):
        for other in range(max(0, place - window), min(len(numbers), place + window + 1)):
            if other == place:
                continue
            vector = model.vectors.weight[centre]
            total -= logsigmoid(model.contexts.weight[numbers[other]] @ vector).item()
            against = [logsigmoid(-(model.contexts.weight[n] @ vector)).item() for n in noise]
            total -= negatives * sum(against) / len(against)
            pairs += 1
    return total, pairs


def test_the_loss_is_the_papers_pair_by_pair(config: Callable[..., word2vec.Config]) -> None:
    settings = config(window=1, negatives=3, shared_noise=2, subsample=1e9, dimensions=4)  # a window of 1 is whole
    model = random_model(settings, text(5, 4, 3)).eval()
    drawn = torch.Generator().manual_seed(settings.seed)
    torch.rand(2, 4, generator=drawn)  # of words passed over
    torch.randint(1, 2, (7,), generator=drawn)  # of windows
    noise = torch.searchsorted(model.noise, torch.rand(2, generator=drawn)).tolist()
    found = model(torch.tensor([[2, 3, 4, 2], [3, 2, 3, 0]]))
    for row, numbers in enumerate(([2, 3, 4, 2], [3, 2, 3])):
        total, pairs = by_hand(model, numbers, 1, 3, noise)
        assert found.loss[row].item() == pytest.approx(total, rel=1e-5)
        assert found.pairs[row].item() == pairs


def test_each_text_counts_the_same_by_the_mean_over_its_pairs(config: Callable[..., word2vec.Config]) -> None:
    outputs = word2vec.Outputs(torch.tensor([6.0, 4]), torch.tensor([2, 3]))
    none = word2vec.Outputs(torch.zeros(2), torch.zeros(2))
    batch = Batch(torch.zeros(2, 1), torch.zeros(2))
    assert word2vec.loss(config(), outputs, batch).item() == pytest.approx((6 / 2 + 4 / 3) / 2)
    assert word2vec.loss(config(), none, batch).item() == 0.0


def test_no_pair_crosses_from_one_text_to_the_next_and_unknown_words_make_none(
    config: Callable[..., word2vec.Config],
) -> None:
    model = random_model(config(window=5, subsample=1e9), text(5, 4, 3)).eval()
    assert model(torch.tensor([[2, 0], [3, 0], [1, 1]])).pairs.tolist() == [0, 0, 0]
    assert model(torch.tensor([[2, 1, 3]])).pairs.tolist() == [2]


def test_noise_is_drawn_by_frequency_to_the_power_three_quarters(config: Callable[..., word2vec.Config]) -> None:
    model = Word2Vec(config(), text(16, 1))
    assert torch.searchsorted(model.noise, torch.tensor([0.0, 0.5, 0.95]), right=True).tolist() == [2, 2, 3]
    assert model.noise.tolist() == pytest.approx([0, 0, 8 / 9, 1])


def test_frequent_words_are_passed_over_as_the_paper_has_it(config: Callable[..., word2vec.Config]) -> None:
    model = Word2Vec(config(subsample=0.01), text(96, 4))
    expected = [math.sqrt(0.01 / 0.96) + 0.01 / 0.96, min(1.0, math.sqrt(0.01 / 0.04) + 0.01 / 0.04)]
    assert model.keep[FIRST:].tolist() == pytest.approx(expected)
    model.train()
    torch.manual_seed(0)
    kept, texts = model._kept(torch.full((100, 100), FIRST), None)
    assert len(kept) / 10_000 == pytest.approx(expected[0], abs=0.02)
    assert texts.max() == 99


def test_windows_are_drawn_from_one_to_the_widest(config: Callable[..., word2vec.Config]) -> None:
    model = Word2Vec(config(window=4), text(1))
    torch.manual_seed(0)
    words = torch.full((4000,), FIRST)
    centres, contexts = model._pairs(words, torch.zeros(4000), None)
    distances = (centres - contexts).abs()
    fractions = [(distances == d).float().mean().item() for d in range(1, 6)]
    assert fractions == pytest.approx([0.4, 0.3, 0.2, 0.1, 0], abs=0.02)


def test_outside_training_the_loss_is_the_same_every_time(config: Callable[..., word2vec.Config]) -> None:
    model = random_model(config(subsample=1.0), text(5, 4, 3))
    numbers = torch.tensor([[2, 3, 4, 2, 3, 4]] * 4)
    assert torch.equal(model.eval()(numbers).loss, model(numbers).loss)
    assert not torch.equal(model.train()(numbers).loss, model(numbers).loss)


@pytest.mark.slow
def test_words_with_the_same_neighbours_come_near(made_splits: Callable[[str], Split], config: Any) -> None:
    """In the synthetic reviews every verdict of a kind stands where the others of its kind do."""
    split = made_splits("reviews")
    assert split.text is not None
    training = fit(
        TASK, config(epochs=15, dimensions=16, learning_rate=0.02, subsample=0.01), split, CPU, lambda *_: None
    )
    history = [epoch["validation_loss"] for epoch in training.history]
    assert all(0 < layer["update"] < 10 for layer in training.history[0]["layers"].values())
    assert min(history) < 0.8 * history[0]
    places = ids_by_word(split.text)
    assert isinstance(training.model, Word2Vec)
    weekday = nearest_words(training.model.vectors.weight, [places["train"]], 4, 2000)[0]
    assert {split.text.words[n - FIRST] for n, _ in weekday} & {"horse", "dog", "rufus"}


def test_the_nearest_are_by_cosine_without_the_word_itself_and_among_the_frequent() -> None:
    vectors = torch.tensor([[9.0, 9], [9, 9], [1, 0], [5, 0.1], [0, 1], [1, 1]])
    assert [n for n, _ in nearest_words(vectors, [2], 2, among=10)[0]] == [3, 5]
    assert [n for n, _ in nearest_words(vectors, [2], 2, among=3)[0]] == [3, 4]
    assert nearest_words(vectors, [2], 1, among=10)[0][0][1] == pytest.approx(5 / math.hypot(5, 0.1))


def test_wanted_words_that_are_unknown_give_way_to_frequent_ones() -> None:
    assert shown_words(text(3, 2), ["word1", "film"]) == ["word1"]
    assert shown_words(text(3, 2), ["film"]) == ["word0", "word1"]


def test_data_that_are_no_texts_are_refused(config: Callable[..., word2vec.Config]) -> None:
    with pytest.raises(UserError, match=r"word2vec\.data"):
        word2vec.build(config(), DataSpec((1, 28, 28), ("a", "b")))
