"""Ray Train's trainer without the processes that nothing here needs, each of which takes seconds of a core to start."""

from __future__ import annotations

import os
from typing import Any

from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

DATASETS = "DatasetsCallback"  # hands out Ray Data's datasets, of which there are none
CLEANER = "PlacementGroupCleanerCallback"  # frees the cores of a killed training, on a cluster that outlives it


class LeanTrainer(DataParallelTrainer):  # type: ignore[misc]
    """As DataParallelTrainer in Ray 2.60; where a later one makes its callbacks elsewhere, it is just that."""

    def _create_default_callbacks(self) -> list[Any]:
        needless = {DATASETS} if os.environ.get("RAY_ADDRESS") else {DATASETS, CLEANER}
        return [each for each in super()._create_default_callbacks() if type(each).__name__ not in needless]
