"""The pipeline as a Prefect flow: one task per DVC stage, independent stages side by side.

python -m flows.pipeline                 every stage
python -m flows.pipeline evaluate@cnn    that stage and what it needs
python -m flows.pipeline --plan          what would run, why, where and for how long; starts nothing
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
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

from flows import own_files, record, registry
from flows.command import run_main
from flows.graph import DvcError, Graph, in_order, may_change, needed, reasons, upstream
from flows.head import ray_head
from flows.lock_order import in_serial_order
from flows.loopback import without_proxy
from flows.mend import keep_copy, mend
from flows.orphan import end_soon_after_ctrl_c, end_with_worker
from flows.plan import plan, trains
from flows.record import Rows
from flows.server import ServerError, prefect_server
from flows.stage import StageError, reproduce, run_command, stop_all
from flows.workspace import workspace

REPO = Path(__file__).resolve().parent.parent
STAGES_AT_ONCE = min(4, os.cpu_count() or 1)


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(
    stage: str, asked: bool, environment: Mapping[str, str], folder: Path = REPO, anew: bool = False
) -> State[dict[str, float | str]]:
    """Bring a stage up to date. The state's name says what DVC did: Ran, Unchanged or Cached."""
    started = time.monotonic()
    if not asked:
        return Completed(name="Unchanged", message="nothing that it reads has changed", data=_row(stage, "unchanged"))
    try:
        with record.with_progress(stage, get_run_logger().info) as log:
            outcome = reproduce(stage, folder, environment, log, anew)
    except StageError as error:
        return Failed(message=str(error))
    keep_copy(folder, after_success=True)
    seconds = time.monotonic() - started
    return Completed(name=outcome.capitalize(), message=f"DVC: {outcome}", data=_row(stage, outcome, seconds))


def _row(stage: str, outcome: str, seconds: float = 0.0) -> dict[str, float | str]:
    return {"stage": stage, "outcome": outcome, "seconds": seconds}


@flow(name="pipeline", task_runner=ThreadPoolTaskRunner(max_workers=STAGES_AT_ONCE))  # type: ignore[arg-type]
def pipeline(
    targets: list[str] | None = None, params: dict[str, Any] | None = None, promote: bool = False
) -> State[Rows]:
    """Bring `targets`, stages or groups of stages, and all that they need up to date; by default everything.

    params:  values in place of params.yaml's, as nested as there; such a run works in a copy of the project.
    promote: whether models that are as good as the promoted ones take their places afterwards.
    What is stale is asked of DVC once, at the start; only those stages and what follows from them run.
    """
    end_with_worker()
    log = get_run_logger().info
    try:
        paths = checked_params()["paths"]
        with workspace(REPO, paths["runs"], params or {}, log) as folder:
            values = checked_params(folder)
            rows = _run(folder, values, targets)
            if promote:
                _promote(folder, values, rows)
    except (DvcError, ParamsError, StageError, ValueError) as error:
        return Failed(message=str(error))
    changed = any(row["outcome"] != "unchanged" for row in rows)
    return Completed(name="Completed" if changed else "Unchanged", message=_counts(rows), data=rows)


def _run(folder: Path, values: Mapping[str, Any], targets: list[str] | None) -> Rows:
    """Run the stages that are stale, and leave a record of it. Raises StageError if some failed."""
    paths, graph = values["paths"], upstream(folder)
    graph = needed(graph, targets if targets else graph)
    copied = own_files.changed(folder, values)
    for stage, (why,) in copied.items():
        if stage in graph:
            get_run_logger().info(f"{why} since they were copied: {stage} copies them anew")
    asked = may_change(graph, (reasons(folder).keys() | copied.keys()) & graph.keys())
    with in_serial_order(folder, targets or [], asked), ExitStack() as stack:
        environment = stack.enter_context(ray_head(folder)) if trains(asked) else {}
        stack.callback(stop_all)  # none runs any more, unless the flow was interrupted
        states = _states(graph, asked, environment, folder, copied)
    failed = {name: state.message or "" for name, state in states.items() if state.is_failed()}
    rows = [
        state.result() if state.is_completed() else _row(name, "failed" if name in failed else "not run")
        for name, state in states.items()
    ]
    record.note_seconds(folder / paths["runs"], rows)
    record.leave(rows, folder / paths["metrics"], folder / paths["report"] / "index.html")
    if failed:
        raise StageError("\n".join(f"{name} failed: {message}" for name, message in failed.items()))
    return rows


def _states(
    graph: Graph, asked: set[str], environment: Mapping[str, str], folder: Path, anew: Collection[str]
) -> dict[str, State[dict[str, float | str]]]:
    """Each stage's end, once all have ended: side by side where none waits for another."""
    futures: dict[str, PrefectFuture[Any]] = {}
    for stage in in_order(graph):
        after = [futures[name] for name in graph[stage]]
        given = (stage, stage in asked, environment, folder, stage in anew)
        submitted: Any = run_stage.submit(*given, wait_for=after)  # type: ignore[call-overload]
        futures[stage] = submitted
    for future in futures.values():
        future.wait()
    return {name: future.state for name, future in futures.items()}


def _promote(folder: Path, values: Mapping[str, Any], rows: Rows) -> None:
    """Let the gate judge the models that this run tested, and mark in git what it promotes."""
    log = get_run_logger().info
    if folder != REPO:
        log("a run with other values than params.yaml's promotes nothing")
        return
    tested = [str(row["stage"]).partition("@")[2] for row in rows if str(row["stage"]).startswith("evaluate@")]
    if tested:
        with registry.marking(folder, values, log):
            run_command([sys.executable, "-m", "components.promote", *tested], folder, {}, log)


def _counts(rows: Rows) -> str:
    """ "3 ran, 2 unchanged" """
    outcomes = [str(row["outcome"]) for row in rows]
    return ", ".join(f"{outcomes.count(kind)} {kind}" for kind in dict.fromkeys(outcomes))


class ParamsError(RuntimeError):
    """A params.yaml is wrong; the text is what components.params says of it."""


def checked_params(folder: Path = REPO) -> dict[str, Any]:
    """The values of a folder's params.yaml. Raises ParamsError in components' own words if one is wrong."""
    command = [sys.executable, "-m", "components.params"]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ParamsError(done.stderr.strip().removeprefix("error: "))
    values: dict[str, Any] = YAML(typ="safe").load(done.stdout)
    return values


def checked_or_exit() -> dict[str, Any]:
    """As checked_params, for a command: a fault ends it before Prefect starts."""
    try:
        return checked_params()
    except ParamsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of Prefect's tells more than the next one, which names the failed state too."""
    return not str(record.msg).startswith("Task run failed with state")


def quiet() -> None:
    """Leave out what Prefect says twice."""
    logging.getLogger("prefect.task_runs").addFilter(_is_news)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description="Run the pipeline.")
    parser.add_argument("targets", nargs="*", help="stages or groups, such as train@cnn or train; default: all")
    parser.add_argument("--plan", action="store_true", help="only tell what would run, why, where and for how long")
    given = parser.parse_args()
    params = checked_or_exit()
    if given.plan:
        return _print_plan(given.targets, params)
    quiet()
    without_proxy()
    end_soon_after_ctrl_c()
    try:
        with prefect_server(REPO):
            state: State[Any] = pipeline(given.targets or None, return_state=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    except ServerError as error:
        sys.exit(f"error: {error}")
    logging.getLogger("prefect").setLevel(logging.WARNING)  # else its server's end has the last word
    if not state.is_completed():
        sys.exit(f"error: {state.message}")
    rows: Rows = state.result()
    print(record.table(rows))
    if all(row["outcome"] == "unchanged" for row in rows):
        print(f"Nothing to do: all {len(rows)} stages are up to date; nothing was trained.")
    page = REPO / params["paths"]["report"] / "index.html"
    if page.exists():
        print(f"Report: {page}")
    return None


def _print_plan(targets: list[str], params: Mapping[str, Any]) -> None:
    try:
        mend(REPO, print)
        graph = upstream(REPO)
        graph = needed(graph, targets or graph)
        seconds = record.last_seconds(REPO / params["paths"]["runs"])
        print(plan(graph, REPO, seconds, STAGES_AT_ONCE, own_files.changed(REPO, params)))
    except (DvcError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_main(main)
