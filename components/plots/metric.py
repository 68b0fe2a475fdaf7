"""A metric's label and number format in the report, declared beside the code that measures it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "metric_names.json"
FRACTION, NATS, DECIBELS = "{:.2%}", "{:.2f} nats", "{:.2f} dB"


@dataclass(frozen=True)
class Metric:
    """A metric whose name in JSON and CSV does not read well, or which is no fraction.

    form:    how str.format writes it; counts are written whole.
    of_test: whether it is measured on the test subset, and called so.
    """

    label: str
    form: str = FRACTION
    of_test: bool = True


LOSS = {"loss": Metric("loss", "{:.4f}")}


def named(name: str, known: Mapping[str, Metric]) -> Metric:
    """A metric by its name in JSON; one that nothing is known of is a fraction of that name."""
    return known.get(name, Metric(name.replace("_", " ")))


def write_names(folder: Path, metrics: Mapping[str, Metric]) -> None:
    values = {name: asdict(metric) for name, metric in metrics.items()}
    (folder / FILE).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_names(folder: Path) -> dict[str, Metric]:
    """Those of a folder of plots, and the loss, which all have."""
    file = folder / FILE
    values = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return LOSS | {name: Metric(**own) for name, own in values.items()}
