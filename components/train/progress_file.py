"""The progress of a training under Ray, written by its controller. Imports no torch: the workers wait for its start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray.train
from ray.train import Checkpoint


class ProgressFile(ray.train.UserCallback):  # type: ignore[misc]
    """Appends each epoch's metrics, and each lost worker, to a JSON-lines file beside the driver."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None) -> None:
        self._append(metrics[0])

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        lost = {rank: str(error).strip().splitlines()[-1] for rank, error in worker_exceptions.items()}
        self._append({"lost": lost})

    def _append(self, record: Mapping[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(record) + "\n")
