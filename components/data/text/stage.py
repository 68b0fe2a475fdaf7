"""Raw texts into words, step by step as params.yaml says, as one Parquet file with a summary."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.data.endings import PARQUET
from components.data.findings import Findings
from components.data.formats import table_files
from components.data.kind import TextConfig
from components.data.preprocessed import FIGURES, PLOTS
from components.data.text.rows import OUTSIDE, worded
from components.data.text.words import Words, strings
from components.errors import UserError
from components.plots.metric import Metric, write_names
from components.plots.tables import Table, write_tables

TEXTS, SUMMARY = "texts.parquet", "text.json"
SCHEMA = pa.schema([(name, pa.string()) for name in ("text", "label", "subset", "words")])
ROWS_IN_A_GROUP = 5000
MOST_CLASSES = 1000
METRICS = {
    name: Metric(label, of_test=False)
    for name, label in {
        "texts": "texts",
        "words_before": "words as published",
        "words_after": "words left",
        "removed": "words removed",
        "vocabulary": "distinct words",
    }.items()
}
EXAMPLES, LETTERS_SHOWN = 3, 400


@dataclass
class Kept:
    """The rows let through so far, by which later ones are judged, and counts of them."""

    config: TextConfig
    findings: Findings
    labels: dict[bytes, str] = field(default_factory=dict)  # a text's digest → its label
    classes: Counter[str] = field(default_factory=Counter)
    words: set[str] = field(default_factory=set)
    examples: list[dict[str, str]] = field(default_factory=list)
    rows: int = 0
    before: int = 0
    after: int = 0

    def take(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a frame that `worded` gave which stay."""
        columns = [frame[name].to_numpy(dtype=object) for name in ("name", "text", "label", "fault")]
        stays = np.array([self._stays(*row) for row in zip(*columns, strict=True)], dtype=bool)
        kept = frame[stays]
        self.rows += len(frame)
        self.classes.update(kept["label"])
        self.before += int(kept["before"].sum())
        self.after += int(kept["after"].sum())
        pieces = pc.utf8_split_whitespace(strings(kept["words"]))
        self.words.update(pc.unique(pieces.flatten()).to_pylist())
        for text, words in kept[["text", "words"]].head(EXAMPLES - len(self.examples)).itertuples(index=False):
            self.examples.append({"before": text[:LETTERS_SHOWN], "after": words[:LETTERS_SHOWN]})
        return kept

    def _stays(self, name: str, text: str, label: str, fault: str) -> bool:
        if fault == OUTSIDE:  # as the section asks for: no fault of the data's
            self.findings.add(fault, name, kept=False)
        elif fault:
            self.findings.bad(fault, name, fault)
        if fault:
            return False
        if self.config.duplicates:
            return True
        digest = hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=12).digest()
        earlier = self.labels.get(digest)
        if earlier is None:
            self.labels[digest] = label
            return True
        fault = "the same text again" if earlier == label else "the same text with another label"
        self.findings.add(fault, name, kept=False)
        return False


def written(
    config: TextConfig, raw: Path, folder: Path, frames: Callable[[Findings], Iterator[pd.DataFrame]], as_it_is: bool
) -> list[str]:
    """Write the words of texts, their figures and tables into an empty folder; what to say of them.

    frames:   (findings to add to) → rows: name, text, label, subset.
    as_it_is: whether these are all rows of the files in `raw`, unchanged.
    Raises UserError when files cannot be read, too many rows cannot be used, or fewer than two classes are left.
    """
    where, kept = config.where, Kept(config, Findings())
    given = _worded_frames(config, raw, kept.findings, frames, as_it_is)
    _write((kept.take(frame) for frame in given), folder / TEXTS)
    kept.findings.check(kept.rows, config.bad_rows, f"{where}.bad_rows", "rows cannot be used")
    _check_classes(where, config, kept)
    figures = _figures(kept)
    summary = {**figures, "classes": dict(sorted(kept.classes.items())), "findings": kept.findings.summary()}
    text = json.dumps({**summary, "examples": kept.examples}, indent=1, ensure_ascii=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    (folder / PLOTS).mkdir()
    write_names(folder / PLOTS, METRICS)
    write_tables(folder / PLOTS, _tables(kept))
    (folder / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    removed = (
        f"{kept.before} words, of which {figures['removed']:.0%} are removed; {len(kept.words)} distinct words are left"
    )
    return [f"{figures['texts']} texts of {removed}", *kept.findings.lines()]


def _worded_frames(
    config: TextConfig,
    raw: Path,
    findings: Findings,
    frames: Callable[[Findings], Iterator[pd.DataFrame]],
    as_it_is: bool,
) -> Iterator[pd.DataFrame]:
    """Rows with words: here, or on Ray where they are Parquet files of more than the size that the section says."""
    parquet = table_files.files_in(raw, PARQUET)
    large = sum(file.stat().st_size for file in parquet) > config.ray_above * 1e6
    if large and as_it_is and table_files.tables_in(raw) == parquet:
        from components.data.text.parallel import worded_on_ray

        yield from worded_on_ray(raw, parquet, config)
        return
    words = Words(config.steps)
    for frame in frames(findings):
        yield worded(frame, words, config)


def _write(frames: Iterator[pd.DataFrame], file: Path) -> None:
    """Write one Parquet file, in groups of rows that do not depend on how the rows came."""
    waiting = SCHEMA.empty_table()
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for frame in frames:
            table = pa.Table.from_pandas(frame[SCHEMA.names], SCHEMA, preserve_index=False).replace_schema_metadata()
            waiting = pa.concat_tables([waiting, table])
            whole = len(waiting) - len(waiting) % ROWS_IN_A_GROUP
            if whole:
                writer.write_table(waiting.slice(0, whole).combine_chunks(), row_group_size=ROWS_IN_A_GROUP)
                waiting = waiting.slice(whole)
        if len(waiting):
            writer.write_table(waiting.combine_chunks())


def _check_classes(where: str, config: TextConfig, kept: Kept) -> None:
    classes = kept.classes
    if not kept.rows:
        raise UserError(f"{where}: the table has no rows")
    absent = [wanted for wanted in config.classes or () if wanted not in classes]
    if absent:
        raise UserError(
            f"{where}.classes: no text has the label {absent[0]!r}; there are: {', '.join(sorted(classes))}"
        )
    if len(classes) < 2:
        which = f"one class alone, {next(iter(classes))!r}" if classes else "no text at all"
        raise UserError(f"{where}: {which}, is left; to classify texts takes two classes")
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{where}.label_column: there are {len(classes)} different labels; is this the labels' column?")


def _figures(kept: Kept) -> dict[str, Any]:
    """The metrics of this stage."""
    return {
        "texts": sum(kept.classes.values()),
        "words_before": kept.before,
        "words_after": kept.after,
        "removed": 1 - kept.after / max(1, kept.before),
        "vocabulary": len(kept.words),
    }


def _tables(kept: Kept) -> list[Table]:
    """Texts before and after, and what was odd."""
    rows = [[example["before"], example["after"]] for example in kept.examples]
    tables = [Table("Texts before and after", ["as published", "as the models see them"], rows)]
    odd = kept.findings.summary()
    if odd:
        listed = [[kind, f"{own['count']:,}", "kept" if own["kept"] else "left out"] for kind, own in odd.items()]
        tables.append(Table("What was odd about the texts", ["kind", "rows", "they are"], listed))
    return tables
