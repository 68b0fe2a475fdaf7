"""A sweep as a Prefect flow: what the model trains on is brought up to date, then its values are searched.

python -m flows.sweep cnn              as params.yaml's `sweep.cnn` says
python -m flows.sweep cnn --apply      and the pipeline then trains and tests the winner
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.checked_params import ParamsError, check, checked_or_exit
from flows.command import run_main
from flows.graph import DvcError, needed, upstream
from flows.head import ray_head
from flows.loopback import without_proxy
from flows.pipeline import REPO, pipeline, quiet, run_stage
from flows.server import ServerError, prefect_server
from flows.stage import StageError, run_command
from flows.stopping import end_soon_after_ctrl_c, end_with_worker
from flows.workspace import workspace


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
def sweep(
    model: str,
    trials: int | None = None,
    grow: bool = False,
    apply: bool = False,
    cpus: int | None = None,
    gpus: float | None = None,
    workers: int = 0,
) -> State[None]:
    """Search a model's values; with `apply`, train and test the winner as well. The rest is components.tune's."""
    end_with_worker()
    numbers = {"--trials": trials, "--cpus": cpus, "--gpus": gpus, "--workers": workers or None}
    arguments = [text for name, value in numbers.items() if value is not None for text in (name, str(value))]
    arguments += [name for name, wanted in (("--grow", grow), ("--apply", apply)) if wanted]
    try:
        paths = check(REPO).paths
        with workspace(REPO, paths["runs"], {}, get_run_logger().info):
            data = [*needed(upstream(REPO), [f"train@{model}"])]
            data.remove(f"train@{model}")
            _bring(data)
            with ray_head(REPO) as environment:
                _checked(search(model, arguments, environment, return_state=True))
            if apply:
                _bring([f"evaluate@{model}"])
            if any(Path(REPO, paths["metrics"]).glob("*.json")):  # there is a test metric to report
                # The report alone: it would not wait for the stages of all other models.
                _checked(run_stage("report", True, {}, return_state=True))
    except (DvcError, ParamsError, StageError, ValueError) as error:
        return Failed(message=str(error))
    return Completed()


def _bring(stages: list[str]) -> None:
    """Bring stages up to date. Raises StageError if one fails."""
    _checked(pipeline(stages, return_state=True))


def _checked(state: Any) -> None:
    if not state.is_completed():
        raise StageError(state.message)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.sweep", description="Search a model's values.")
    parser.add_argument("model", help="a model's name, such as cnn")
    parser.add_argument("--grow", action="store_true", help="widen the model until it overfits")
    parser.add_argument("--apply", action="store_true", help="write the best values into params.yaml and train them")
    parser.add_argument("--trials", type=int, help="in place of params.yaml's search.trials")
    parser.add_argument("--cpus", type=int, help="cores of a trial, or of each of its workers")
    parser.add_argument("--gpus", type=float, help="GPUs of a trial, or of each worker")
    parser.add_argument("--workers", type=int, default=0, help="of a trial, by Ray Train; 0: it trains in one process")
    given = vars(parser.parse_args())
    checked_or_exit(REPO)
    quiet()
    without_proxy()
    end_soon_after_ctrl_c()
    try:
        with prefect_server(REPO):
            state: State[Any] = sweep(**given, return_state=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    except ServerError as error:
        sys.exit(f"error: {error}")
    if not state.is_completed():
        sys.exit(f"error: {state.message}")


if __name__ == "__main__":
    run_main(main)
