"""Decoded images on disk, as `preprocess` leaves them for the split: arrays, classes, and what was odd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from components.data.arrays import save_array
from components.data.findings import Findings
from components.data.kind import Examples
from components.data.preprocessed import FIGURES, PLOTS
from components.errors import UserError
from components.plots.metric import Metric, write_names
from components.plots.tables import Table, write_tables

SUMMARY = "examples.json"
PUBLISHED = "subsets"  # the array of that name, where a split is published
CLASSES_SHOWN = 40
METRICS = {name: Metric(name, of_test=False) for name in ("examples", "classes")}


def written(examples: Examples, folder: Path) -> list[str]:
    """Write examples into an empty folder; what to say of them."""
    arrays = {"inputs": examples.inputs, "targets": examples.targets, **examples.extra}
    if examples.subsets is not None:
        arrays[PUBLISHED] = examples.subsets
    summary: dict[str, Any] = {
        "classes": list(examples.classes),
        "rare_classes_ok": examples.rare_classes_ok,
        "grey_bits": examples.grey_bits,
        "findings": examples.findings.summary(),
        "sha256": {name: save_array(folder / f"{name}.npy", array) for name, array in arrays.items()},
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _tell(examples, folder)
    shape = " x ".join(map(str, examples.inputs.shape[1:]))
    said = [f"{len(examples.inputs)} images of {shape}, {len(examples.classes)} classes"]
    return [*said, *examples.findings.lines()]


def _tell(examples: Examples, folder: Path) -> None:
    """Figures and tables of the data set for the report."""
    counts = np.bincount(examples.targets, minlength=len(examples.classes)).tolist()
    figures = {"examples": len(examples.inputs), "classes": len(examples.classes)}
    (folder / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / PLOTS).mkdir()
    write_names(folder / PLOTS, METRICS)
    rows = [[name, f"{count:,}"] for name, count in zip(examples.classes, counts, strict=True)][:CLASSES_SHOWN]
    tables = [Table("Classes", ["class", "images"], rows)]
    if odd := examples.findings.summary():
        listed = [[kind, f"{own['count']:,}", "kept" if own["kept"] else "left out"] for kind, own in odd.items()]
        tables.append(Table("What was odd about the files", ["kind", "files", "they are"], listed))
    write_tables(folder / PLOTS, tables)


def open_examples(config: Any, folder: Path, scratch: Path) -> Examples:
    """Read what `written` left, memory-mapped. Raises UserError when it is not there."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: no decoded images here; `dvc repro` makes them") from None
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in summary["sha256"]}
    subsets = arrays.pop(PUBLISHED, None)
    return Examples(
        inputs=arrays.pop("inputs"),
        targets=np.asarray(arrays.pop("targets")),
        classes=tuple(summary["classes"]),
        subsets=None if subsets is None else np.asarray(subsets),
        extra=arrays,
        findings=Findings.of_summary(summary["findings"]),
        rare_classes_ok=summary["rare_classes_ok"],
        grey_bits=summary["grey_bits"],
        stored_in=folder,
        digests=summary["sha256"],
    )
