"""The Kind of a data set: how its files become arrays, as the rest of the tool sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from components.data.arrays import Subset
from components.data.findings import Findings
from components.data.text.steps import Steps
from components.data.text.vocabulary import Text
from components.params.declarations import KINDS, declaration
from components.params.section import Section


class SplitConfig(Section):
    """Where a data set has no published split; what it has is kept."""

    method: Literal["stratified", "head"] = Field(
        "stratified", description="stratified | head (the first rows validate)"
    )
    validation: float = Field(0.2, gt=0, lt=1, description="a number between 0 and 1, a fraction of the training rows")
    test: float = Field(0.2, gt=0, lt=1, description="a number between 0 and 1, used if the set has no test subset")
    seed: int = Field(42, ge=0, lt=2**31, description="an integer >= 0")


class DataConfig(Section):
    """The keys of every data set."""

    kind: str = Field(description="the kind of data: the name of a file in components/data/kinds")
    source: str = Field(
        description="a source file (data/sources/*.yaml), or the path of a folder, archive or file of your own"
    )
    split: SplitConfig = SplitConfig()

    @classmethod
    def read_later(cls) -> tuple[str, ...]:
        """The keys that the stage `preprocess` does not read: a change of these makes nothing of its anew."""
        return ("split",)


class ImagesConfig(DataConfig):
    """The keys of every data set of image files."""

    side: int = Field(180, ge=8, le=2048, description="an integer from 8 to 2048: the images' side in pixels")
    grey: bool = Field(
        False, description="true | false: whether colours are taken away, so that images have one channel"
    )
    bad_files: float = Field(
        0.01, ge=0, le=1, description="a number from 0 to 1: tolerated fraction of unreadable files"
    )


@dataclass(frozen=True)
class Examples:
    """All examples of a data set.

    inputs:          one row per example; for images uint8, (examples, channels, height, width). It may be
                     memory-mapped from a file in the scratch folder.
    targets:         int64, (examples,): the class numbers.
    classes:         the classes' names.
    subsets:         int8, (examples,): the number in SUBSETS of each one's subset; None where no split is published.
    extra:           name → one more array with one row per example.
    findings:        what was odd about the files.
    rare_classes_ok: whether a subset of the split may lack a class, as where the targets are not all there is to learn.
    words:           of texts: the words that the ids in `inputs` stand for, from 1; 0 pads.
    text:            of texts, once their vocabulary is learned: what the ids mean then.
    grey_bits:       of 16-bit greyscale images: how many of their bits are used, and all of 0 to 255 stands for.
    stored_in:       the folder that holds the arrays already, where they need not be written again; or None.
    digests:         of the files there.
    """

    inputs: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    subsets: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    rare_classes_ok: bool = False
    words: tuple[str, ...] = ()
    text: Text | None = None
    grey_bits: int = 16
    stored_in: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


class VocabularyConfig(Section):
    size: int = Field(
        20000, ge=1, le=2**30, description="an integer >= 1: the most words that have a token id of their own"
    )
    least: int = Field(2, ge=1, description="an integer >= 1: how often a word stands in the training subset at least")


class TableConfig(Section):
    """The keys of what is read from tables."""

    label_column: str = Field("label", description="the name of a table's column with the classes")
    split_column: str = Field(
        "split",
        description="the name of a column that tells each row's subset (train, validation, test), where it is there",
    )
    delimiter: str = Field(
        "", max_length=1, description='what stands between the cells of a CSV; "" finds a comma, tab, semicolon or bar'
    )


class TextConfig(TableConfig, DataConfig):
    """The keys of every section of a data set of texts."""

    text_column: str = Field("text", description="the name of a table's column with the texts")
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

    @classmethod
    def read_later(cls) -> tuple[str, ...]:
        return ("split", "vocabulary", "length", "cut")

    @model_validator(mode="after")
    def _two_columns(self) -> TextConfig:
        if self.text_column == self.label_column:
            raise ValueError("text_column and label_column name the same column")
        return self


@dataclass(frozen=True)
class Kind:
    """A kind of data. Its file in components/data/kinds/ declares it, beside its Config.

    preprocess: (config, the raw folder, an empty folder to write into) → lines to print. Decodes images, makes words of
                texts. Raises UserError on damaged files.
    examples:   (config, the folder that `preprocess` left, an empty scratch folder that is deleted later) → Examples.
    learn:      (config, examples, subset → its rows) → Examples: what must look at the training rows alone.
    """

    preprocess: Callable[[Any, Path, Path], list[str]]
    examples: Callable[[Any, Path, Path], Examples]
    learn: Callable[[Any, Examples, Mapping[Subset, np.ndarray]], Examples] | None = None


def load_kind(name: str) -> Kind:
    """The kind declared in components/data/kinds/<name>.py. Raises UserError if there is none."""
    kind: Kind = declaration(KINDS, name, "KIND", kind="kind of data")
    return kind
