"""The classifier of texts: what its parameters change, that it learns, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.data.arrays import DataSpec, Split
from components.data.text.vocabulary import FIRST, PADDING
from components.errors import UserError
from components.models import artifact
from components.models.families import lstm, word2vec
from components.models.families.lstm import TASK, TextClassifier
from components.models.task import load_task
from components.models.text_batches import by_length, text_batch
from components.models.word_vectors import vectors_for
from components.params import params
from components.train.loop import Training, fit
from tests.conftest import CPU

LstmConfig = Callable[..., lstm.Config]


@pytest.fixture(scope="module")
def config(committed: params.Params) -> LstmConfig:
    """The committed section, smaller, with changes checked as params.yaml's are."""
    section = {**committed.sections["lstm"].model_dump(), "widths": (8,), "embedding": 16, "encoding": "embedding"}
    return lambda **changes: lstm.Config.model_validate({**section, **changes}, strict=False)


@pytest.fixture(scope="module")
def made(made_splits: Callable[[str], Split]) -> Split:
    return made_splits("reviews")


def size(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        # An LSTM layer: 4 x (inputs x width + width x width + 2 x width), as PyTorch has two biases; then dense.
        ({"both_ways": False}, 4 * (16 * 8 + 8 * 8 + 16) + 2 * 8 + 2),
        ({"both_ways": True}, 2 * 4 * (16 * 8 + 8 * 8 + 16) + 2 * 16 + 2),
        ({"both_ways": False, "cell": "rnn"}, (16 * 8 + 8 * 8 + 16) + 2 * 8 + 2),
        ({"both_ways": False, "widths": (8, 4)}, 4 * (16 * 8 + 64 + 16) + 4 * (8 * 4 + 16 + 8) + 2 * 4 + 2),
    ],
    ids=str,
)
def test_cell_widths_and_ways_are_parameters(
    config: LstmConfig, made: Split, changes: dict[str, Any], layers: int
) -> None:
    assert made.text is not None
    words = FIRST + len(made.text.words)
    assert size(lstm.build(config(**changes), made.spec)) == words * 16 + layers


@pytest.mark.parametrize(("encoding", "inputs"), [("integer", 1), ("one_hot", None), ("embedding", 16)])
def test_every_encoding_gives_logits(config: LstmConfig, made: Split, encoding: str, inputs: int | None) -> None:
    assert made.text is not None
    model = lstm.build(config(encoding=encoding), made.spec)
    batch = text_batch(made, made.rows["train"][:5])
    assert model(batch.inputs).shape == (5, 2)
    assert model.vectors(batch.inputs).shape[2] == (inputs or FIRST + len(made.text.words))


def test_one_hot_vectors_have_a_single_one_and_integers_one_number(config: LstmConfig, made: Split) -> None:
    numbers = torch.tensor([[3, 2, 0]])
    found = lstm.build(config(encoding="one_hot"), made.spec).vectors(numbers)
    assert found.sum(dim=2).tolist() == [[1, 1, 1]]
    assert found.argmax(dim=2).tolist() == numbers.tolist()
    integers = lstm.build(config(encoding="integer"), made.spec)
    torch.testing.assert_close(integers.vectors(numbers)[..., 0] * integers.words, numbers.float())


def test_too_many_words_for_one_hot_name_both_ways_out(config: LstmConfig, made: Split) -> None:
    assert made.text is not None
    many = replace(made.text, words=tuple(map(str, range(5000))), counts=(1,) * 5000)
    with pytest.raises(UserError, match=r"lstm\.encoding: one_hot.*reviews\.vocabulary\.size to 4998 or less"):
        lstm.build(config(encoding="one_hot"), replace(made.spec, text=many))


def test_data_that_are_no_texts_are_refused(config: LstmConfig) -> None:
    with pytest.raises(UserError, match=r"lstm\.data: reviews holds no texts"):
        lstm.build(config(), DataSpec((1, 28, 28), ("a", "b")))


def test_a_text_is_judged_the_same_in_any_batch(config: LstmConfig, made: Split) -> None:
    model = lstm.build(config(), made.spec).eval()
    rows = np.sort(made.rows["train"][:20])
    together = model(text_batch(made, rows).inputs)
    alone = torch.cat([model(text_batch(made, rows[i : i + 1]).inputs) for i in range(len(rows))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_frozen_vectors_stay_and_padding_stays_zero(config: LstmConfig, made: Split) -> None:
    for trained in (False, True):
        settings = config(train_embedding=trained, epochs=1)
        torch.manual_seed(settings.seed)
        before = lstm.build(settings, made.spec)
        model = fit(TASK, settings, made, CPU, lambda *_: None).model
        assert isinstance(model, TextClassifier)
        assert model.embedding is not None
        assert before.embedding is not None
        assert torch.equal(model.embedding.weight, before.embedding.weight) != trained
        assert (model.embedding.weight[PADDING] == 0).all()


@pytest.mark.parametrize("rows", [64, 37, 3])
def test_batches_in_training_are_of_like_lengths_and_hold_every_row_once(made: Split, rows: int) -> None:
    own = made.rows["train"][:rows]
    generator = torch.Generator().manual_seed(0)
    first, second = (by_length(made, own, 8, generator) for _ in range(2))
    assert sorted(first) == sorted(second) == sorted(own)
    assert rows < 8 or first.tolist() != second.tolist()
    assert by_length(made, own, 8, torch.Generator().manual_seed(0)).tolist() == first.tolist()
    lengths = made.arrays["lengths"]
    for start in range(0, rows - rows % 8, 8):  # sorted by length, but for which batch comes when
        batch = lengths[first[start : start + 8]]
        assert (np.diff(batch) >= 0).all()
    assert (np.diff(lengths[by_length(made, own, 8, None)]) >= 0).all()


def test_batches_of_like_lengths_hold_little_padding(made: Split) -> None:
    def padding(order: np.ndarray) -> float:
        batches = [made.arrays["lengths"][order[i : i + 8]] for i in range(0, len(order), 8)]
        return 1 - float(sum(b.sum() for b in batches)) / float(sum(b.max() * len(b) for b in batches))

    rows = made.rows["train"]
    assert padding(by_length(made, rows, 8, torch.Generator().manual_seed(0))) < 0.5 * padding(rows)


def built(config: lstm.Config, made: Split) -> TextClassifier:
    """The same weights whatever the config says beside their sizes."""
    torch.manual_seed(0)
    return lstm.build(config, made.spec)


def input_gradients(model: TextClassifier, ids: torch.Tensor) -> torch.Tensor:
    """(words,): the norm of the gradient of the first logit at each word's vector, in evaluation mode."""
    vectors = model.eval().vectors(ids).detach().requires_grad_()
    model.vectors = lambda ids: vectors  # type: ignore[method-assign]
    model(ids)[:, 0].sum().backward()
    assert vectors.grad is not None
    norms: torch.Tensor = vectors.grad.norm(dim=(0, 2))
    return norms


def test_truncation_cuts_the_classifiers_gradients(config: LstmConfig, made: Split) -> None:
    numbers = torch.tensor([[2, 3, 4, 5, 6, 7]])
    for steps, reached in ((0, 6), (4, 2)):
        settings = config(truncation=steps, pooling="last", both_ways=False)
        found = input_gradients(built(settings, made), numbers)
        assert (found > 0).tolist() == [False] * (6 - reached) + [True] * reached


def test_truncation_holds_on_the_way_back_too(config: LstmConfig, made: Split) -> None:
    """Words 5 and 6 of the way there are in its last piece, words 1 and 2 in that of the way back."""
    settings = config(truncation=4, pooling="last", both_ways=True)
    found = input_gradients(built(settings, made), torch.tensor([[2, 3, 4, 5, 6, 7]]))
    assert (found > 0).tolist() == [True, True, False, False, True, True]


def test_each_pooling_and_memory_makes_a_difference(config: LstmConfig, made: Split) -> None:
    numbers = torch.tensor([[2, 3, 4, 5, 6, 7]])
    logits = [built(config(pooling=how), made).eval()(numbers) for how in ("last", "mean", "max")]
    logits.append(built(config(pooling="max", memory=50), made).eval()(numbers))
    for place, own in enumerate(logits):
        assert not any(torch.allclose(own, other) for other in logits[:place])


@pytest.mark.parametrize("kind", ["embedding_dropout", "dropout", "none"])
def test_each_dropout_is_at_work_in_training(config: LstmConfig, made: Split, kind: str) -> None:
    none = {"embedding_dropout": 0.0, "dropout": 0.0}
    model = built(config(**({**none, kind: 0.5} if kind != "none" else none)), made)
    numbers = torch.tensor([[2, 3, 4, 5, 6, 7]] * 4)
    assert torch.allclose(model.train()(numbers), model(numbers)) == (kind == "none")
    assert torch.equal(model.eval()(numbers), model(numbers))


def test_dropout_makes_no_other_word_of_an_integer(config: LstmConfig, made: Split) -> None:
    model = built(config(encoding="integer", dropout=0.0, embedding_dropout=0.5), made).train()
    numbers = torch.tensor([[2, 3, 4, 5]] * 3)
    assert torch.equal(model(numbers), model(numbers))


def test_recurrent_layers_compute_in_float32_under_autocast(config: LstmConfig, made: Split) -> None:
    model = built(config(), made).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model.recurrent(model.vectors(torch.tensor([[2, 3]])), torch.tensor([2]))
    assert found.dtype == torch.float32


def train(config: lstm.Config, split: Split, **more: Any) -> Training:
    return fit(TASK, config, split, CPU, lambda *_: None, **more)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"truncation": 10}, {"pooling": "last", "memory": 50}], ids=str)
def test_it_learns_synthetic_reviews(config: LstmConfig, made: Split, changes: dict[str, Any]) -> None:
    training = train(config(epochs=30, learning_rate=0.01, batch_size=16, **changes), made)
    assert training.best is not None
    assert max(epoch["validation_accuracy"] for epoch in training.history) >= 0.8


def word2vec_model(folder: Path, made: Split, committed: params.Params, dimensions: int) -> Path:
    task = load_task("word2vec")
    section = {**committed.sections["word2vec"].model_dump(), "dimensions": dimensions, "epochs": 1}
    settings = task.config.model_validate(section, strict=False)
    training = fit(task, settings, made, CPU, lambda *_: None)
    artifact.save(folder / "word2vec", task, settings, made.spec, training.state())
    return folder / "word2vec"


def taken(config: lstm.Config, split: Split, source: Path) -> Mapping[str, torch.Tensor]:
    trained = artifact.load(source)
    return vectors_for(config, split.spec, trained.model, trained.spec)


def test_word2vecs_vectors_are_what_the_classifier_starts_from(
    config: LstmConfig, made: Split, committed: params.Params, tmp_path: Path
) -> None:
    source = word2vec_model(tmp_path, made, committed, dimensions=16)
    given = artifact.load(source).model
    assert isinstance(given, word2vec.Word2Vec)
    assert made.text is not None
    # The same words in another order, and one that word2vec never saw.
    words = ("unseen", *reversed(made.text.words))
    other = replace(made, text=replace(made.text, words=words, counts=(9, *reversed(made.text.counts))))
    settings = config(encoding="embedding")
    given_vectors = taken(settings, other, source)
    model = lstm.build(settings, other.spec)
    model.start(given_vectors)
    assert model.embedding is not None
    found = model.embedding.weight.detach()
    assert (found[: FIRST + 1] == 0).all()
    torch.testing.assert_close(found[FIRST + 1 :], given.vectors.weight.detach()[FIRST:].flip(0))


def test_vectors_of_none_of_the_words_are_refused(
    config: LstmConfig, made: Split, committed: params.Params, tmp_path: Path
) -> None:
    source = word2vec_model(tmp_path, made, committed, dimensions=16)
    assert made.text is not None
    other = replace(made, text=replace(made.text, words=("autre", "langue"), counts=(2, 1)))
    with pytest.raises(UserError, match="knows none of the words of reviews"):
        taken(config(encoding="embedding", start="word2vec"), other, source)


def test_vectors_of_another_width_name_both_settings(
    config: LstmConfig, made: Split, committed: params.Params, tmp_path: Path
) -> None:
    source = word2vec_model(tmp_path, made, committed, dimensions=12)
    with pytest.raises(UserError, match=r"lstm\.embedding: 16, but word2vec has dimensions: 12"):
        taken(config(encoding="embedding", start="word2vec"), made, source)


@pytest.mark.slow
def test_resuming_gives_the_same_weights_bit_for_bit(config: LstmConfig, made: Split) -> None:
    whole = train(config(epochs=3), made)
    half = train(config(epochs=2), made)
    resumed = train(config(epochs=3), made, resume=half.state())
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
