"""The pipeline as a Prefect flow: one task per DVC stage, independent stages side by side.

python -m flows.pipeline                 every stage
python -m flows.pipeline evaluate@cnn    that stage and what it needs
python -m flows.pipeline --plan          what would run, why, where and for how long; runs only `code`
"""

from __future__ import annotations

import argparse
import logging
import os
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

from flows import cores, record, registry, sources
from flows.checked_params import Checked, ParamsError, check, checked_or_exit
from flows.command import run_main
from flows.graph import CODE, DvcError, Graph, dvc, in_order, may_change, needed, reasons, upstream
from flows.head import head_for_trainings
from flows.loopback import without_proxy
from flows.mend import keep_copy, mend
from flows.plan import plan, trains
from flows.record import Rows
from flows.server import ServerError, prefect_server
from flows.side_by_side import run_side_by_side
from flows.sources import SourceError
from flows.stage import StageError, StageKilledError, reproduce, run_command, stop_all
from flows.stopping import end_soon_after_ctrl_c, end_with_worker
from flows.workspace import workspace

REPO = Path(__file__).resolve().parent.parent
THREADS = 16  # for stages that run, and for those that have nothing to do
STAGES_AT_ONCE = 4  # at most, however many cores there are


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(
    stage: str, asked: bool, environment: Mapping[str, str], folder: Path = REPO
) -> State[dict[str, float | str]]:
    """Bring a stage up to date. The state's name says what DVC did: Ran, Unchanged or Cached."""
    started = time.monotonic()
    if not asked:
        return Completed(name="Unchanged", message="nothing that it reads has changed", data=_row(stage, "unchanged"))
    try:
        with record.with_progress(stage, get_run_logger().info) as log:
            try:
                outcome = reproduce(stage, folder, environment, log)
            except StageKilledError:
                log(f"{stage}: its process was killed; once more, from where it was")
                outcome = reproduce(stage, folder, environment, log)
    except StageError as error:
        return Failed(message=str(error))
    keep_copy(folder, after_success=True)
    seconds = time.monotonic() - started
    return Completed(name=outcome.capitalize(), message=f"DVC: {outcome}", data=_row(stage, outcome, seconds))


def _row(stage: str, outcome: str, seconds: float = 0.0) -> dict[str, float | str]:
    return {"stage": stage, "outcome": outcome, "seconds": seconds}


@flow(name="pipeline", task_runner=ThreadPoolTaskRunner(max_workers=THREADS))  # type: ignore[arg-type]
def pipeline(
    targets: list[str] | None = None, params: dict[str, Any] | None = None, promote: bool = False
) -> State[Rows]:
    """Bring `targets`, stages or groups of stages, and all that they need up to date; by default everything.

    params:  values in place of params.yaml's, as nested as there; such a run works in a copy of the project.
    promote: whether models that are as good as the promoted ones take their places afterwards.
    What is stale is asked of DVC at the start, and again once `code` has run; only those stages and what follows from
    them run.
    """
    end_with_worker()
    log = get_run_logger().info
    try:
        with workspace(REPO, check(REPO).paths["runs"], params or {}, log) as folder:
            checked = check(folder)
            rows = _run(folder, checked, targets)
            if promote:
                _promote(folder, checked.values, rows)
    except (DvcError, ParamsError, SourceError, StageError, ValueError) as error:
        return Failed(message=str(error))
    changed = any(row["outcome"] != "unchanged" for row in rows)
    return Completed(name="Completed" if changed else "Unchanged", message=_counts(rows), data=rows)


def _run(folder: Path, checked: Checked, targets: list[str] | None) -> Rows:
    """Run the stages that are stale, and leave a record of it. Raises StageError if some failed."""
    paths, graph = checked.paths, upstream(folder)
    graph = needed(graph, targets if targets else graph)
    data = {name: own for name, own in checked.values["data"].items() if f"download@{name}" in graph}
    left = sources.check(folder, data, get_run_logger().info)
    with ExitStack() as stack:
        stack.callback(stop_all)  # none runs any more, unless the flow was interrupted
        stale, begun = reasons(folder).keys(), dict[str, PrefectFuture[Any]]()
        if CODE in stale:
            begun[CODE] = _ended(run_stage.submit(CODE, True, {}, folder))
            stale = reasons(folder).keys()
        asked = may_change(graph, (stale - left) & graph.keys()) - left
        environment = stack.enter_context(head_for_trainings(folder)) if trains(asked) else {}
        states = _states(graph, asked, environment, folder, checked, begun)
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
    graph: Graph,
    asked: set[str],
    environment: Mapping[str, str],
    folder: Path,
    checked: Checked,
    begun: Mapping[str, PrefectFuture[Any]],
) -> dict[str, State[dict[str, float | str]]]:
    """Each stage's end, once all have ended: side by side where none waits for another.

    begun: the stages that have run before.
    """
    total = cores.there_are()
    on_cluster = "RAY_ADDRESS" in {**os.environ, **environment}  # whose cores trainings take
    futures: dict[str, PrefectFuture[Any]] = {}

    def takes(stage: str) -> int:
        return cores.taken(stage, {} if on_cluster else checked.small, checked.large, total) if stage in asked else 0

    def start(stage: str, count: int) -> PrefectFuture[Any]:
        own = {**environment, **cores.environment(count)}
        after = [futures[name] for name in graph[stage]]
        given = (stage, stage in asked, own, folder)
        submitted: Any = begun.get(stage) or run_stage.submit(*given, wait_for=after)  # type: ignore[call-overload]
        futures[stage] = submitted
        return futures[stage]

    run_side_by_side(graph, in_order(graph), takes, total, STAGES_AT_ONCE, start)
    return {name: _ended(futures[name]).state for name in graph}


def _ended(future: PrefectFuture[Any]) -> PrefectFuture[Any]:
    """Wait for a stage: a future knows its state only from then on."""
    future.wait()
    return future


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
    checked = checked_or_exit(REPO)
    if given.plan:
        return _print_plan(given.targets, checked)
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
    page = REPO / checked.paths["report"] / "index.html"
    if page.exists():
        print(f"Report: {page}")
    return None


def _print_plan(targets: list[str], checked: Checked) -> None:
    try:
        mend(REPO, print)
        graph = upstream(REPO)
        graph = needed(graph, targets or graph)
        if CODE in graph:  # without it nothing is known of what an edit changes
            dvc(REPO, "--wait-for-lock", "repro", "--single-item", CODE)
        seconds = record.last_seconds(REPO / checked.paths["runs"])
        at_once = min(STAGES_AT_ONCE, cores.there_are())
        print(plan(graph, REPO, seconds, at_once))
    except (DvcError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_main(main)
