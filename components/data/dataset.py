"""The Dataset: where data come from and how files become arrays, as the rest of the tool sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from components.data.arrays import Subset
from components.data.findings import Findings
from components.data.sources import Source
from components.data.text.steps import Steps
from components.data.text.vocabulary import Text
from components.params.declarations import DATASETS, declaration
from components.params.section import Section

if TYPE_CHECKING:
    import pandas as pd


class SplitConfig(Section):
    method: Literal["stratified", "head"] = Field(
        "stratified", description="stratified | head (the first rows validate)"
    )
    validation: float = Field(0.2, gt=0, lt=1, description="a number between 0 and 1, a fraction of the training rows")
    test: float = Field(0.2, gt=0, lt=1, description="a number between 0 and 1, used if the set has no test subset")
    seed: int = Field(42, ge=0, lt=2**31, description="an integer >= 0")


@dataclass(frozen=True)
class Examples:
    """All examples of a data set.

    inputs:          one row per example; for images uint8, (examples, channels, height, width). It may be
                     memory-mapped from a file in the scratch folder.
    targets:         int64, (examples,): the class numbers.
    classes:         the classes' names.
    test_from:       the first row of the data set's own test subset, which runs to the end; None if it has none.
    validation_from: the first row of its own validation subset, which runs to the test subset; None if it has none.
    extra:           name → one more array with one row per example.
    findings:        what was odd about the files.
    rare_classes_ok: whether a subset of the split may lack a class, as where the targets are not all there is to learn.
    words:           of texts: the words that the ids in `inputs` stand for, from 1; 0 pads.
    text:            of texts, once their vocabulary is learned: what the ids mean then.
    grey_bits:       of 16-bit greyscale images: how many of their bits are used, and all of 0 to 255 stands for.
    """

    inputs: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    test_from: int | None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    rare_classes_ok: bool = False
    words: tuple[str, ...] = ()
    text: Text | None = None
    validation_from: int | None = None
    grey_bits: int = 16


TSV, PARQUET = (".tsv", ".tsv.gz", ".tab"), (".parquet",)  # the endings of tables of texts
CSV = (".csv", ".csv.gz", *TSV)


class VocabularyConfig(Section):
    size: int = Field(
        20000, ge=1, le=2**30, description="an integer >= 1: the most words that have a number of their own"
    )
    least: int = Field(2, ge=1, description="an integer >= 1: how often a word stands in the training subset at least")


class TextConfig(Section):
    """The keys of every section of a data set of texts."""

    text_column: str = Field("text", description="the name of a table's column with the texts")
    label_column: str = Field("label", description="the name of a table's column with the classes")
    classes: tuple[str, ...] | None = Field(
        None,
        min_length=2,
        description="null (every label that occurs) | a list of two or more labels to keep, in quotes",
    )
    duplicates: bool = Field(False, description="true | false, whether a text that is there again stays")
    longest: int = Field(
        100_000, ge=1, le=10**7, description="an integer >= 1: letters, beyond which a text is left out"
    )
    bad_rows: float = Field(
        0.01, ge=0, le=1, description="a number from 0 to 1: tolerated fraction of rows without use"
    )
    ray_above: float = Field(
        500, ge=0, description="a number >= 0: megabytes of Parquet files, beyond which Ray reads them"
    )
    steps: Steps = Steps()
    vocabulary: VocabularyConfig = VocabularyConfig()
    length: int = Field(400, ge=1, le=10**6, description="an integer >= 1: the words of a text that models see")
    cut: Literal["end", "start", "middle"] = Field(
        "middle", description="end | start | middle, of a text with more words"
    )
    split: SplitConfig = SplitConfig()

    @model_validator(mode="after")
    def _two_columns(self) -> TextConfig:
        if self.text_column == self.label_column:
            raise ValueError("text_column and label_column name the same column")
        return self


@dataclass(frozen=True)
class Dataset:
    """A data set. Its file in components/data/datasets/ declares it, beside its Config.

    sources: (config, the general `source`) → the name of the source to use, and the source.
    read:    (config, the raw folder, an empty scratch folder that is deleted afterwards) → Examples.
             Raises UserError on a damaged file. Of texts it reads what the text stage made.
    texts:   of texts: (config, the raw folder, findings to add to) → frames of rows: name, text, label, subset.
    learn:   (config, examples, subset → its rows) → Examples: what must look at the training rows alone.
    """

    name: str
    sources: Callable[[Any, str], tuple[str, Source]]
    read: Callable[[Any, Path, Path], Examples]
    texts: Callable[[Any, Path, Findings], Iterator[pd.DataFrame]] | None = None
    learn: Callable[[Any, Examples, Mapping[Subset, np.ndarray]], Examples] | None = None


def load_dataset(name: str) -> Dataset:
    """The data set declared in components/data/datasets/<name>.py. Raises UserError if there is none."""
    dataset: Dataset = declaration(DATASETS, name, "DATASET", kind="data set")
    return dataset
