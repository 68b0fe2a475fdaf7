"""TF-IDF after the course notes, with Naive Bayes and logistic regression on it, and texts that are alike by cosine.

Term frequency is the count, or log(1 + count); inverse document frequency is scikit-learn's, smoothed:
ln((1 + n) / (1 + df)) + 1; each text's weights have the length 1. All of it sees the words that the networks see, and
the same split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from components.data.arrays import Split
from components.data.text.vocabulary import FIRST
from components.errors import UserError
from components.params.section import Section
from components.plots.metric import Metric
from components.plots.tables import Table, write_tables

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Frequency = Literal["raw", "log"]
NAMES = {"naive_bayes": "Naive Bayes", "logistic_regression": "logistic regression"}
METRICS = {kind: Metric(f"accuracy of {name}") for kind, name in NAMES.items()}
QUERIES, ALIKE, TELLING = 3, 3, 12


class Config(Section):
    reads: ClassVar[tuple[str, ...]] = ("texts",)

    kind: str = Field(description="the kind of baseline: the name of a file in components/baselines")
    data: str = Field(description="the name of a section of a data set of texts")
    term_frequency: tuple[Frequency, ...] = Field(
        ("raw", "log"), min_length=1, description="a list of raw (the count) | log (log(1 + count)); each is tried"
    )
    smoothing: float = Field(1.0, gt=0, description="a number > 0: Naive Bayes' additive smoothing")
    inverse_penalty: float = Field(
        4.0, gt=0, description="a number > 0: logistic regression's C, the inverse of its L2 penalty"
    )


def counts(split: Split, rows: np.ndarray) -> csr_matrix:
    """How often each word of the vocabulary stands in each text: (texts, words)."""
    from scipy.sparse import csr_matrix

    assert split.text is not None
    inputs = split.arrays["inputs"][rows]
    known = inputs >= FIRST
    shape = (len(rows), len(split.text.words))
    matrix = csr_matrix((np.ones(known.sum()), (known.nonzero()[0], inputs[known] - FIRST)), shape=shape)
    matrix.sum_duplicates()
    return matrix


def weighted(matrix: csr_matrix, frequency: Frequency) -> csr_matrix:
    """Counts as term frequencies."""
    return matrix.log1p() if frequency == "log" else matrix


def weights(split: Split, frequency: Frequency) -> tuple[csr_matrix, csr_matrix]:
    """TF-IDF of both subsets, training and test, (texts, words), with the training subset's document frequencies."""
    from sklearn.feature_extraction.text import TfidfTransformer

    train, test = (weighted(counts(split, split.rows[part]), frequency) for part in ("train", "test"))
    idf = TfidfTransformer().fit(train)
    return idf.transform(train), idf.transform(test)


def evaluate(config: Config, split: Split, folder: Path) -> dict[str, Any]:
    """Fit on the training subset alone; test metrics by classifier and term frequency; tables into the folder.

    Raises UserError when the data are no texts.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB

    if split.text is None:
        raise UserError(f"{config.where}.data: {config.data} holds no texts")
    targets = split.arrays["targets"]
    accuracies: dict[str, Any] = {name: {} for name in NAMES}
    for frequency in config.term_frequency:
        learned, held = weights(split, frequency)
        bayes = MultinomialNB(alpha=config.smoothing)
        logistic = LogisticRegression(C=config.inverse_penalty, max_iter=1000)
        for name, model in zip(NAMES, (bayes, logistic), strict=True):
            model.fit(learned, targets[split.rows["train"]])
            accuracies[name][frequency] = model.score(held, targets[split.rows["test"]])
    tables = [_compared(accuracies, split), _alike(split, learned, held), _telling(split, logistic)]
    write_tables(folder, tables, f"TF-IDF baselines, fitted on {config.data}")
    return {**accuracies, "examples": len(split.rows["test"])}


def _compared(accuracies: dict[str, Any], split: Split) -> Table:
    """Each baseline's test accuracy, and that of always naming the most frequent class."""
    targets = split.arrays["targets"]
    most = np.bincount(targets[split.rows["train"]]).argmax()
    chance = (targets[split.rows["test"]] == most).mean()
    rows = [
        [NAMES[name], {"raw": "count", "log": "log(1 + count)"}[frequency], f"{accuracy:.2%}"]
        for name in NAMES
        for frequency, accuracy in accuracies[name].items()
    ]
    rows.append([f"always {split.classes[most]}", "", f"{chance:.2%}"])
    return Table("Baselines on TF-IDF", ["classifier", "term frequency", "test accuracy"], rows)


def _alike(split: Split, learned: Any, held: Any) -> Table:
    """For the first test texts, the training texts with the largest cosine."""
    cosines = (held[:QUERIES] @ learned.T).toarray()  # of weights of length 1: their products are cosines
    rows: list[Sequence[str]] = []
    for query, own in enumerate(cosines):
        row = int(split.rows["test"][query])
        rows.append(["test text", _class_of(split, row), _text(split, row)])
        for place in np.argsort(-own, kind="stable")[:ALIKE]:
            near = int(split.rows["train"][place])
            rows.append([f"cosine {own[place]:.2f}", _class_of(split, near), _text(split, near)])
    note = "Cosine similarity of TF-IDF weights, the last term frequency of the list, to every training text."
    return Table("Texts that are alike", ["", "class", "words"], rows, note)


def _text(split: Split, row: int) -> str:
    assert split.text is not None
    return split.text.read_back(split.arrays["inputs"][row])


def _class_of(split: Split, row: int) -> str:
    return split.classes[int(split.arrays["targets"][row])]


def _telling(split: Split, logistic: Any) -> Table:
    """The words with the largest coefficients of logistic regression, for each class."""
    assert split.text is not None
    weights = logistic.coef_ if len(logistic.coef_) > 1 else np.concatenate([-logistic.coef_, logistic.coef_])
    rows = []
    for name, own in zip(split.classes, weights, strict=True):
        best = np.argsort(-own, kind="stable")[:TELLING]
        rows.append([name, ", ".join(split.text.words[place] for place in best)])
    return Table("Words that tell the classes apart", ["class", "by logistic regression"], rows)
