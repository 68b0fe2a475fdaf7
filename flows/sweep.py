"""A sweep as a Prefect flow: what the model trains on is brought up to date, then its values are searched.

python -m flows.sweep cnn              as params.yaml's `sweep.cnn` says
python -m flows.sweep cnn --apply      and the pipeline then trains and tests the winner

All other arguments are those of components.tune.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.graph import DvcError, needed, upstream
from flows.head import ray_head
from flows.pipeline import REPO, checked_params, pipeline, quiet, run_stage
from flows.server import prefect_server
from flows.stage import StageError, run_command


@task(name="search", task_run_name="search {model}", cache_policy=NO_CACHE, persist_result=False)
def search(model: str, arguments: list[str], environment: Mapping[str, str]) -> State[None]:
    """Run components.tune, whose trials are Ray's to start again."""
    try:
        command = [sys.executable, "-m", "components.tune", model, *arguments]
        run_command(command, REPO, environment, get_run_logger().info)
    except StageError as error:
        return Failed(message=str(error))
    return Completed()


@flow(name="sweep")
def sweep(model: str, arguments: list[str] | None = None) -> State[None]:
    """Search a model's values; with --apply among the arguments, train and test the winner as well."""
    given = arguments or []
    try:
        graph = upstream(REPO)
        data = [*needed(graph, [f"train@{model}"])]
    except (DvcError, ValueError) as error:
        return Failed(message=str(error))
    data.remove(f"train@{model}")
    state: Any = pipeline(data, return_state=True)
    if not state.is_completed():
        return Failed(message=state.message)
    with ray_head(REPO) as environment:
        searched: Any = search(model, given, environment, return_state=True)
    if not searched.is_completed():
        return Failed(message=searched.message)
    then: Any = pipeline([f"evaluate@{model}"], return_state=True) if "--apply" in given else state
    if then.is_completed() and _tested():  # the report alone: it would not wait for the stages of all other models
        then = run_stage("report", True, {}, return_state=True)
    return Completed() if then.is_completed() else Failed(message=then.message)


def _tested() -> bool:
    """Whether there is a test measure to report."""
    return any((REPO / checked_params()["paths"]["metrics"]).glob("*.json"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.sweep", description="Search a model's values.")
    parser.add_argument("model", help="a model's name, such as cnn")
    given, arguments = parser.parse_known_args()
    checked_params()
    quiet()
    try:
        with prefect_server(REPO):
            state: State[Any] = sweep(given.model, arguments, return_state=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    if not state.is_completed():
        sys.exit(f"error: {state.message}")


if __name__ == "__main__":
    main()
