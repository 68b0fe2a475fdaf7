"""The pipeline as a Prefect flow: one task per DVC stage, independent stages side by side.

python -m flows.pipeline                 every stage
python -m flows.pipeline evaluate@cnn    that stage and what it needs
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from ruamel.yaml import YAML

from flows.graph import DvcError, in_order, may_change, needed, stale, upstream
from flows.head import ray_head
from flows.server import prefect_server
from flows.stage import StageError, reproduce, stop_all

REPO = Path(__file__).resolve().parent.parent
STAGES_AT_ONCE = min(4, os.cpu_count() or 1)
Rows = list[dict[str, float | str]]


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(stage: str, asked: bool, environment: Mapping[str, str]) -> State[dict[str, float | str]]:
    """Bring a stage up to date. The state's name says what DVC did: Ran, Unchanged or Cached."""
    started = time.monotonic()
    if not asked:
        return Completed(name="Unchanged", message="nothing that it reads has changed", data=_row(stage, "unchanged"))
    try:
        outcome = reproduce(stage, REPO, environment, get_run_logger().info)
    except StageError as error:
        return Failed(message=str(error))
    seconds = time.monotonic() - started
    return Completed(name=outcome.capitalize(), message=f"DVC: {outcome}", data=_row(stage, outcome, seconds))


def _row(stage: str, outcome: str, seconds: float = 0.0) -> dict[str, float | str]:
    return {"stage": stage, "outcome": outcome, "seconds": seconds}


@flow(name="pipeline", task_runner=ThreadPoolTaskRunner(max_workers=STAGES_AT_ONCE))  # type: ignore[arg-type]
def pipeline(targets: list[str] | None = None) -> State[Rows]:
    """Bring `targets`, stages or groups of stages, and all that they need up to date; by default everything.

    What is stale is asked of DVC once, at the start; only those stages and what follows from them run.
    """
    try:
        graph = upstream(REPO)
        graph = needed(graph, targets if targets else graph)
        asked = may_change(graph, stale(REPO) & graph.keys())
    except (DvcError, ValueError) as error:
        return Failed(message=str(error))
    with ExitStack() as stack:
        environment = stack.enter_context(ray_head(REPO)) if asked else {}
        stack.callback(stop_all)  # none runs any more, unless the flow was interrupted
        futures: dict[str, PrefectFuture[Any]] = {}
        for stage in in_order(graph):
            after = [futures[name] for name in graph[stage]]
            submitted: Any = run_stage.submit(stage, stage in asked, environment, wait_for=after)  # type: ignore[call-overload]
            futures[stage] = submitted
        for future in futures.values():
            future.wait()
    failed = {name: f.state.message or "" for name, f in futures.items() if f.state.is_failed()}
    if failed:
        return Failed(message="\n".join(f"{name} failed: {message}" for name, message in failed.items()))
    rows = [f.state.result() for f in futures.values()]
    return Completed(name="Unchanged" if not asked else "Completed", message=_counts(rows), data=rows)


def _counts(rows: Rows) -> str:
    """ "3 ran, 2 unchanged" """
    outcomes = [str(row["outcome"]) for row in rows]
    return ", ".join(f"{outcomes.count(kind)} {kind}" for kind in dict.fromkeys(outcomes))


def _table(rows: Rows) -> str:
    """Stage, what was done and seconds, a line each."""
    width = max(len(str(row["stage"])) for row in rows)
    return "\n".join(f"{row['stage']:<{width}}  {row['outcome']:<9}  {row['seconds']:6.1f} s" for row in rows)


def checked_params() -> dict[str, Any]:
    """The values of params.yaml; a wrong one is refused in components' own words before Prefect starts."""
    command = [sys.executable, "-m", "components.params"]
    done = subprocess.run(command, cwd=REPO, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        sys.exit(done.returncode)
    values: dict[str, Any] = YAML(typ="safe").load(done.stdout)
    return values


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of Prefect's tells more than the next one, which names the failed state too."""
    return not str(record.msg).startswith("Task run failed with state")


def quiet() -> None:
    """Leave out what Prefect says twice."""
    logging.getLogger("prefect.task_runs").addFilter(_is_news)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description="Run the pipeline.")
    parser.add_argument("targets", nargs="*", help="stages or groups, such as train@cnn or train; default: all")
    targets = parser.parse_args().targets
    params = checked_params()
    quiet()
    try:
        with prefect_server(REPO):
            state: State[Any] = pipeline(targets or None, return_state=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    logging.getLogger("prefect").setLevel(logging.WARNING)  # else its server's end has the last word
    if not state.is_completed():
        sys.exit(f"error: {state.message}")
    rows: Rows = state.result()
    print(_table(rows))
    if all(row["outcome"] == "unchanged" for row in rows):
        print(f"Nothing to do: all {len(rows)} stages are up to date; nothing was trained.")
    page = REPO / params["paths"]["report"] / "index.html"
    if page.exists():
        print(f"Report: {page}")


if __name__ == "__main__":
    main()
