"""What a data set is to the rest of the tool: where it comes from, and how its files become arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from components.data.sources import Source
from components.params import DATASETS, Section, declaration


class SplitConfig(Section):
    method: Literal["stratified", "head"] = Field(description="stratified | head (the first rows validate)")
    validation: float = Field(gt=0, lt=1, description="a number between 0 and 1, a share of the training rows")
    test: float = Field(gt=0, lt=1, description="a number between 0 and 1, used if the set has no test part")
    seed: int = Field(ge=0, lt=2**31, description="an integer >= 0")


@dataclass(frozen=True)
class Examples:
    """All examples of a data set.

    inputs:    one row per example; for images uint8, (examples, channels, height, width).
    targets:   int64, (examples,): the class numbers.
    classes:   the classes' names.
    test_from: the first row of the data set's own test part, which runs to the end; None if it has none.
    """

    inputs: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    test_from: int | None


@dataclass(frozen=True)
class Dataset:
    """A data set. Its file in components/datasets/ declares it, beside its Config.

    sources: (config, the general `source`) → the name of the source to use, and the source.
    read:    the raw folder → Examples. Raises UserError on a damaged file.
    """

    name: str
    sources: Callable[[Any, str], tuple[str, Source]]
    read: Callable[[Path], Examples]


def load_dataset(name: str) -> Dataset:
    """The data set declared in components/datasets/<name>.py. Raises UserError if there is none."""
    dataset: Dataset = declaration(DATASETS, name, "DATASET", kind="data set")
    return dataset
