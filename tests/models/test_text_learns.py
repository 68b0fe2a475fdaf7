"""That the text half learns: the sample's reviews, as the quick profile has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.baselines import tfidf
from components.data.arrays import Split
from components.data.text.vocabulary import FIRST, ids_by_word
from components.evaluate.evaluation import Config as Evaluation
from components.evaluate.word2vec import nearest_words
from components.models.families import lstm, word2vec
from components.models.families.word2vec import Word2Vec
from components.params import params
from components.train.loop import Training, fit, validate
from tests.conftest import CPU, split_of, with_source

pytestmark = pytest.mark.slow

SENSIBLE = {  # words that a reader would call near; two lemmas of one thing, or of one kind
    "good": {"great", "decent", "excellent", "fine", "nice", "ok", "average", "outstanding", "solid", "bad", "well"},
    "bad": {"awful", "terrible", "horrible", "lousy", "crap", "suck", "wrong", "good", "poor", "crappy", "lame"},
    "film": {"movie", "flick", "image", "filmmaker", "documentary", "thriller", "cinema", "feature"},
    "actor": {"actress", "role", "cast", "acting", "performance", "performer", "talent", "talented", "star"},
    "funny": {"hilarious", "humorous", "joke", "laugh", "comedy", "amuse", "cute", "humor", "comedic", "clever"},
    "story": {"plot", "storyline", "tale", "narrative", "premise", "script", "romance"},
    "music": {"soundtrack", "score", "song", "musical", "sound", "tune", "dance"},
    "war": {"army", "battle", "military", "soldier", "world", "ii", "nazi", "vietnam", "civil", "nation"},
    "love": {"romance", "romantic", "hate", "adore", "fall", "affair", "marry", "friendship", "heart", "share"},
    "child": {"kid", "parent", "adult", "boy", "teenager", "mother", "baby", "family", "girl", "teenage"},
}


@pytest.fixture(scope="module")
def reviews(committed: params.Params, tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("reviews")
    return split_of("reviews", with_source(committed, "reviews", "sample"), folder)


@pytest.fixture(scope="module")
def trained(reviews: Split, committed: params.Params) -> Training:
    config = committed.sections["word2vec"]
    assert isinstance(config, word2vec.Config)
    return fit(word2vec.TASK, config, reviews, CPU, lambda *_: None)


def test_at_least_seven_of_ten_common_words_have_a_sensible_word_among_the_five_nearest(
    reviews: Split, trained: Training, evaluation: Evaluation
) -> None:
    model, own = trained.model, evaluation.word2vec
    assert isinstance(model, Word2Vec)
    assert reviews.text is not None
    assert set(own.shown) == set(SENSIBLE)
    places = ids_by_word(reviews.text)
    found = {}
    for word, sensible in SENSIBLE.items():
        (near,) = nearest_words(model.vectors.weight, [places[word]], 5, own.nearest_of)
        found[word] = sensible & {reviews.text.words[number - FIRST] for number, _ in near}
    assert sum(map(bool, found.values())) >= 7, found


def test_the_lstm_with_its_vectors_is_far_better_than_chance(
    reviews: Split, trained: Training, committed: params.Params, tmp_path: Path
) -> None:
    config = committed.sections["lstm"]
    baseline = committed.sections["tfidf"]
    assert isinstance(config, lstm.Config)
    assert isinstance(baseline, tfidf.Config)
    assert isinstance(trained.model, Word2Vec)
    given = {"vectors": trained.model.vectors.weight.detach()}
    short = config.model_copy(update={"epochs": 2})
    training = fit(lstm.TASK, short, reviews, CPU, lambda *_: None, weights=given)
    assert training.best is not None
    training.model.load_state_dict(training.best["model"])
    assert validate(training, "test")["accuracy"] >= 0.8
    found = tfidf.evaluate(baseline, reviews, tmp_path)
    assert found["naive_bayes"]["log"] >= 0.8
    assert found["logistic_regression"]["log"] >= 0.84
