"""The record of a run: Prefect's artifacts, and how long each stage took."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.background import LAST_SECONDS, Newest, within

EPOCH = re.compile(r"^\S+  epoch +(\d+)/(\d+)  (.*)")
SECONDS_FILE = "seconds.json"  # in the scratch folder
Rows = list[dict[str, float | str]]


@contextmanager
def with_progress(stage: str, log: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """The same log, that also keeps a bar of the stage's epochs in Prefect's page: beside it, not in its way."""
    bars: list[UUID] = []
    newest = Newest()

    def draw(done: str, epochs: str, measured: str) -> None:
        percent, text = 100 * int(done) / int(epochs), f"{stage}: epoch {done} of {epochs}, {measured}"
        if bars:
            update_progress_artifact(artifact_id=bars[0], progress=percent, description=text)
        else:
            made: Any = create_progress_artifact(percent, key=key(f"epochs-{stage}"), description=text)
            bars.append(made)

    def note(line: str) -> None:
        log(line)
        if epoch := EPOCH.match(line):
            newest.do(partial(draw, *epoch.groups()))

    try:
        yield note
    finally:
        newest.end()


def key(name: str) -> str:
    """As Prefect allows the key of an artifact: "epochs-train@cnn" is "epochs-train-cnn"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def leave(rows: Rows, metrics: Path, page: Path) -> None:
    """The table of the run's stages and the link to its report, in Prefect's page if its server is there."""
    shown = [{**row, "seconds": round(float(row["seconds"]), 1), "metric": first_metric(row, metrics)} for row in rows]

    def tell() -> None:
        create_table_artifact(table=shown, key="stages", description="What each stage did")
        if page.exists():
            create_link_artifact(link=page.resolve().as_uri(), link_text="The report", key="report")

    within(LAST_SECONDS, tell)


def first_metric(row: Mapping[str, float | str], metrics: Path) -> str:
    """ "accuracy 0.9712": the first test metric of an evaluated model, else nothing."""
    group, _, name = str(row["stage"]).partition("@")
    file = metrics / f"{name}.json"
    if group not in ("evaluate", "study", "baseline") or not file.exists():
        return ""
    values = json.loads(file.read_text(encoding="utf-8"))
    first = next((key for key, value in values.items() if isinstance(value, int | float)), None)
    return f"{first.replace('_', ' ')} {values[first]:.4f}" if first else ""


def last_seconds(scratch: Path) -> dict[str, float]:
    """Stage → the seconds that it took when it last ran here."""
    try:
        seconds: dict[str, float] = json.loads((scratch / SECONDS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return seconds


def note_seconds(scratch: Path, rows: Sequence[Mapping[str, float | str]]) -> None:
    """Remember how long the stages took that ran."""
    new = {str(row["stage"]): round(float(row["seconds"]), 1) for row in rows if row["outcome"] == "ran"}
    if new:
        part = scratch / f".{SECONDS_FILE}.part"
        part.write_text(json.dumps({**last_seconds(scratch), **new}, indent=1), encoding="utf-8")
        part.replace(scratch / SECONDS_FILE)


def table(rows: Iterable[Mapping[str, float | str]]) -> str:
    """Stage, what was done and seconds, a line each."""
    lines = [*rows]
    width = max(len(str(row["stage"])) for row in lines)
    return "\n".join(f"{row['stage']:<{width}}  {row['outcome']:<9}  {row['seconds']:6.1f} s" for row in lines)
