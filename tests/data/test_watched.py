"""DVC watches a user's own files: one byte makes the stages of that data set stale, and no others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from flows.graph import may_change, reasons, upstream
from tests.conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(600)]
STAGES = ["download", "preprocess", "split"]


def images(folder: Path) -> Path:
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / name / f"{number}.png")
    return folder


def table(file: Path) -> Path:
    texts = [f"a fine text number{n} again" for n in range(40)]
    pd.DataFrame({"text": texts, "label": ["up", "down"] * 20}).to_csv(file, index=False)
    return file


def test_one_byte_of_a_source_makes_its_stages_stale_and_no_others(project: Project, tmp_path: Path) -> None:
    photos, texts = images(tmp_path / "photos"), table(tmp_path / "texts.csv")
    project.change(data__photos={"kind": "images", "source": str(photos), "side": 16})
    project.change(data__sms={"kind": "texts", "source": str(texts)})
    done = project.run("dvc", "repro", *(f"split@{name}" for name in ("mnist", "photos", "sms")))
    assert done.returncode == 0, done.stdout
    assert stale(project) == {}

    with (photos / "bee" / "3.png").open("ab") as opened:
        opened.write(b"\0")
    assert stale(project) == {"download@photos": [f"{photos} changed"]}
    assert made_anew(project, "photos") == STAGES[:2], "the images that it decodes to are the same"

    texts.write_text(texts.read_text().replace("number3 ", "number 3 "))
    assert stale(project) == {"download@sms": [f"{texts} changed"]}
    assert made_anew(project, "sms") == STAGES
    assert stale(project) == {}


def stale(project: Project) -> dict[str, list[str]]:
    """The stages of the three data sets that have to run, and why."""
    return {
        stage: why
        for stage, why in reasons(project.folder).items()
        if stage.split("@")[0] in STAGES and stage.split("@")[1] in ("mnist", "photos", "sms")
    }


def made_anew(project: Project, name: str) -> list[str]:
    """The stages of all three that ran, which are some of those that the flow would ask."""
    graph = upstream(project.folder)
    asked = may_change(graph, stale(project).keys())
    assert {stage.split("@")[1] for stage in asked if stage.split("@")[0] in STAGES} == {name}
    done = project.run("dvc", "repro", *(f"split@{each}" for each in ("mnist", "photos", "sms")))
    assert done.returncode == 0, done.stdout
    ran = [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]
    assert all(stage.endswith(f"@{name}") for stage in ran), ran
    return [stage.split("@")[0] for stage in ran]
