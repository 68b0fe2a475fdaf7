"""Rows of texts: each judged by itself, and made words of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.data.formats.table_files import Wanted
from components.data.kind import TextConfig
from components.data.text.words import Words

COLUMNS = ("text_column", "label_column")
OUTSIDE = "label not among the classes"


def wanted_of(config: TextConfig, *others: str) -> Wanted:
    """What is read of a data set's tables: the texts' column, the labels', and others by name."""
    columns = {getattr(config, key): f"{config.where}.{key}" for key in COLUMNS}
    source = f"{config.where}.source"
    return Wanted(columns | dict.fromkeys(others, source), config.split_column, config.delimiter, config.where)


def worded(frame: pd.DataFrame, words: Words, config: TextConfig) -> pd.DataFrame:
    """Judge each row by itself, and make words of its text: columns `fault` ("" if there is none), `words`, and counts.

    A row with a fault has no text any more.
    """
    text = frame["text"].to_numpy(dtype=object)
    label = np.array([value.replace("\0", "").strip() for value in frame["label"]], dtype=object)
    faults = [_fault(t, lab, config) for t, lab in zip(text, label, strict=True)]
    kept = np.where([not fault for fault in faults], text, "")
    frame = words(frame.assign(text=kept, label=label, fault=np.array(faults, dtype=object)))
    none_left = (frame["after"] == 0) & (frame["fault"] == "")
    return frame.assign(fault=frame["fault"].where(~none_left, "no words left"))


def _fault(text: str, label: str, config: TextConfig) -> str:
    if not text or text.isspace():
        return "no text"
    if len(text) > config.longest:
        return f"longer than {config.longest} characters"
    if "\0" in text:
        return "no text, but other bytes"
    if not label:
        return "no label"
    if config.classes is not None and label not in config.classes:
        return OUTSIDE
    return ""
