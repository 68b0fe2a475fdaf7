"""Runs, workers and servers die: each run's state comes to be right, no trainer is left, and the next run works."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from tests.conftest import Project, synthetic
from tests.flows.served import Served, waited_for

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project whose CNN trains for minutes, served without a schedule."""
    project = Project(tmp_path_factory.mktemp("training") / "project")
    project.change(mnist__source=synthetic("mnist"), cnn__epochs=400, cnn__batch_size=4)
    assert project.run("dvc", "repro", "prepare@cnn").returncode == 0
    yield Served(project)
    project.end()


def training_run(served: Served) -> tuple[str, psutil.Process]:
    """A new run and its process, once it has trained an epoch."""
    before = epochs(served)
    run = served.submit("pipeline/all", targets=["train@cnn"])
    waited_for(lambda: epochs(served) > before, 120)
    of_run = [each for each in served.children("-m") if variable(each, "PREFECT__FLOW_RUN_ID") == run]
    return run, min(of_run, key=lambda process: process.create_time())


def variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:  # it has just ended
        return None


def epochs(served: Served) -> int:
    """How many have been told of so far, in all runs."""
    return (served.project.folder / ".prefect/worker.log").read_text().count("cnn  epoch ")


def trainers(served: Served) -> list[psutil.Process]:
    return [*served.children("components.train"), *served.children("ray::RayTrainWorker")]


def server_and_worker(served: Served) -> dict[str, psutil.Process]:
    found: dict[str, psutil.Process] = {}
    for each in psutil.Process(served.process.pid).children():
        try:
            found |= {word: each for word in ("server", "worker") if word in each.cmdline()}
        except psutil.Error:  # it has just ended
            continue
    return found


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
    leases = training.project.folder / ".prefect/concurrency_leases"
    assert any(file.stem == lease_of(training, run) for file in leases.glob("*.json")), "the next server finds it"
    killed(training, "server")
    state = training.until_ended(run, 120)
    assert state["type"] == "COMPLETED", state["message"]
    assert (training.project.folder / "data/models/cnn/model.safetensors").exists()


def lease_of(served: Served, run: str) -> str:
    """Of the run's place in its deployment."""
    return str(served.state(run)["state_details"]["deployment_concurrency_lease_id"])


def test_killed_with_make_serve_it_is_crashed_at_the_next_start_and_the_next_run_works(training: Served) -> None:
    training.project.change(cnn__epochs=400, cnn__seed=43)
    run, _ = training_run(training)
    training.process.kill()
    training.process.communicate(timeout=60)
    waited_for(lambda: not training.children("-m"), 90)
    again = Served(training.project)
    assert again.state(run)["type"] == "CRASHED"
    training.project.change(cnn__epochs=3)
    assert again.until_ended(again.submit("pipeline/all", targets=["train@cnn"]), 120)["type"] == "COMPLETED"
    again.stop()
