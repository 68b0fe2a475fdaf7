"""A folder of its own with a params.yaml, in which a bench runs the real stages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from components.params.declarations import GROUPS

REPO = Path(__file__).resolve().parent.parent


class Stages:
    """values: those of the committed params.yaml, to be changed between stages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[tuple[float, str]] = []
        self.values: dict[str, Any] = YAML(typ="safe").load((REPO / "params.yaml").read_text())
        for own in self.values["data"].values():
            own["source"] = str(REPO / own["source"])

    def run(self, *command: str, **environment: str) -> float:
        """Run `python -m …` with the current values; the seconds that it took. What it said, and when, is `printed`."""
        self.write()
        everything = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONUNBUFFERED": "1", **environment}
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=self.folder, env=everything, text=True, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        self.printed = [(time.monotonic(), line) for line in process.stdout]
        if process.wait():
            sys.exit(process.returncode)
        return time.monotonic() - started

    def entry(self, name: str) -> dict[str, Any]:
        """The values of an entry of a group, or of a section, to be changed."""
        group = next((group for group in GROUPS if name in self.values[group]), None)
        own: dict[str, Any] = self.values[group][name] if group else self.values[name]
        return own

    def from_source(self, name: str, source: str) -> None:
        """Have a data set come from a profile's place, or from one's own files; download, decode and split it."""
        if source in ("sample", "full"):
            self.values["profile"] = source
        else:
            self.entry(name)["source"] = source
        for step in ("download", "preprocess", "split"):
            self.run(f"components.data.{step}", name)

    def prepare(self, model: str) -> float:
        """Seconds of the stage before a training, whose start it may need."""
        start = self.entry(model)["start"]
        if start not in self.values["models"]:
            self.run("components.prepare.weights", start)
        return self.run("components.prepare", model)

    def write(self) -> None:
        """The current values, into params.yaml."""
        YAML(typ="safe").dump(self.values, self.folder / "params.yaml")

    def seconds_of_epochs(self) -> float:
        """What the epochs took of the training that ran last, by its lines; the first as the rest on average."""
        times = [at for at, line in self.printed if "  epoch " in line]
        return (times[-1] - times[0]) * len(times) / (len(times) - 1)

    def path(self, kind: str, *parts: str) -> Path:
        """A path below one of params.yaml's `paths`."""
        return self.folder.joinpath(self.values["paths"][kind], *parts)

    def metrics(self, model: str) -> dict[str, float]:
        found: dict[str, float] = json.loads(self.path("metrics", f"{model}.json").read_text())
        return found


def absolute(source: str) -> str:
    """A path here as an absolute one, since stages run in another folder; anything else as it is."""
    return str(Path(source).resolve()) if Path(source).exists() else source
