"""Ray Train's trainer without the processes that nothing here needs, each of which takes seconds of a core to start."""

from __future__ import annotations

import os
from typing import Any

from ray.train import Result
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from components.cluster.settings import LOOPBACK

DATASETS = "DatasetsCallback"  # hands out Ray Data's datasets, of which there are none
CLEANER = "PlacementGroupCleanerCallback"  # frees the cores of a killed training, on a cluster that outlives it
POLICY = "scaling_policy"  # the controller's argument


class LeanTrainer(DataParallelTrainer):  # type: ignore[misc]
    """As DataParallelTrainer in Ray 2.60; where a later one makes its callbacks elsewhere, it is just that."""

    def _create_default_callbacks(self) -> list[Any]:
        needless = {DATASETS} if os.environ.get("RAY_ADDRESS") else {DATASETS, CLEANER}
        return [each for each in super()._create_default_callbacks() if type(each).__name__ not in needless]

    def _initialize_and_run_controller(self, **given: Any) -> Result:
        on_this_machine = os.environ.get("RAY_ADDRESS", LOOPBACK[0]).startswith(LOOPBACK)
        if type(given.get(POLICY)) is FixedScalingPolicy and on_this_machine:
            given[POLICY] = WithoutAutoscaler(self.scaling_config)
        return super()._initialize_and_run_controller(**given)


class WithoutAutoscaler(FixedScalingPolicy):  # type: ignore[misc]
    """Asks for no nodes where no more can come. Ray's own has an actor for it, whose start the workers wait for."""

    def after_controller_start(self, train_run_context: Any) -> None:
        pass

    def _maybe_send_resource_request(self) -> None:
        pass
