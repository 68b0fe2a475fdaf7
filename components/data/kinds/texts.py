"""Texts with a class each: tables (CSV, TSV, JSON lines, Parquet), or .txt files in one folder per class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from components.data.arrays import Subset, published
from components.data.findings import Findings
from components.data.kind import Examples, Kind, TextConfig
from components.data.source_files import reading_of
from components.data.text import vocabulary
from components.data.text.vocabulary import Text
from components.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


class Config(TextConfig):
    fraction: float = Field(
        1.0, gt=0, le=1, description="a number in (0, 1]: how many of the texts, drawn by split.seed"
    )


def frames(config: Config, folder: Path, findings: Findings) -> Iterator[pd.DataFrame]:
    """The rows in `folder`: name, text, label, subset. Raises UserError for files that cannot be read."""
    from components.data.formats import text_files
    from components.data.text.rows import wanted_of

    reading, random = reading_of(folder), np.random.default_rng(config.split.seed)
    fraction = config.fraction * reading.fraction
    for frame in text_files.frames(folder, wanted_of(config, *reading.only), findings):
        if fraction < 1:
            frame = frame[random.random(len(frame)) < fraction]
        for column, value in reading.only.items():
            frame = frame[frame[column] == value]
        if reading.labels:
            frame = frame[frame["label"].isin(reading.labels)]
            frame = frame.assign(label=frame["label"].map(reading.labels))
        yield frame


def examples(config: Config, folder: Path, scratch: Path) -> Examples:
    """Read what `preprocess` left in `folder`: the ids of each text's words, (texts, length), and its class."""
    from components.data.text.stage import TEXTS

    if not (folder / TEXTS).exists():
        raise UserError(f"{folder}: no words here; `dvc repro` makes them")
    inputs, words, others = vocabulary.as_ids(folder / TEXTS, config.length, config.cut, scratch)
    classes = tuple(sorted(set(others["label"])))
    targets = np.searchsorted(np.array(classes), np.array(others["label"])).astype(np.int64)
    return Examples(
        inputs,
        targets,
        classes,
        subsets=published(others["subset"]),
        extra={"lengths": np.count_nonzero(inputs, axis=1).astype(np.int32)},
        words=words,
    )


def learn(config: Config, examples: Examples, rows: Mapping[Subset, np.ndarray]) -> Examples:
    """The examples in the token ids of a vocabulary of the training rows alone."""
    chosen = config.vocabulary
    lookup, words, counts = vocabulary.learn(examples.words, examples.inputs, rows["train"], chosen.size, chosen.least)
    if not words:
        raise UserError(f"{config.where}.vocabulary.least: no word stands {chosen.least} times in the training subset")
    vocabulary.map_ids(examples.inputs, lookup)
    text = Text(words, counts, config.steps, config.length, config.cut)
    return replace(examples, words=(), text=text)


def preprocess(config: Config, raw: Path, folder: Path) -> list[str]:
    from components.data.text.stage import written

    reading = reading_of(raw)
    as_it_is = config.fraction * reading.fraction == 1 and not reading.only and not reading.labels
    return written(config, raw, folder, lambda findings: frames(config, raw, findings), as_it_is)


KIND = Kind(preprocess, examples, learn)
