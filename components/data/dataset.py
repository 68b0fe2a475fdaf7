"""What a data set is to the rest of the tool: where it comes from, and how its files become arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from components.data.findings import Findings
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

    inputs:          one row per example; for images uint8, (examples, channels, height, width). It may be
                     memory-mapped from a file in the scratch folder.
    targets:         int64, (examples,): the class numbers.
    classes:         the classes' names.
    test_from:       the first row of the data set's own test part, which runs to the end; None if it has none.
    extra:           name → one more array with one row per example.
    findings:        what was odd about the files.
    rare_classes_ok: whether a part of the split may lack a class, as where the targets are not all there is to learn.
    """

    inputs: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    test_from: int | None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    rare_classes_ok: bool = False


@dataclass(frozen=True)
class Dataset:
    """A data set. Its file in components/datasets/ declares it, beside its Config.

    sources: (config, the general `source`) → the name of the source to use, and the source.
    read:    (config, the raw folder, an empty scratch folder that is deleted afterwards) → Examples.
             Raises UserError on a damaged file.
    """

    name: str
    sources: Callable[[Any, str], tuple[str, Source]]
    read: Callable[[Any, Path, Path], Examples]


def load_dataset(name: str) -> Dataset:
    """The data set declared in components/datasets/<name>.py. Raises UserError if there is none."""
    dataset: Dataset = declaration(DATASETS, name, "DATASET", kind="data set")
    return dataset
