"""Which server a run reports to, and what is said where it cannot be used."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pytest
from ruamel.yaml import YAML

from components.cluster.joining import free_port
from tests.conftest import REPO, Environment, Project, lines_until
from tests.flows.served import Served, waited_for

pytestmark = [pytest.mark.slow, pytest.mark.processes]

STAGE = "stages:\n  only: {cmd: sleep 8 && date > only.txt, outs: [only.txt], always_changed: true}\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project of one stage, served without a schedule."""
    project = Project(tmp_path_factory.mktemp("server") / "project")
    (project.folder / "dvc.yaml").write_text(STAGE)
    keep(project, "all")
    yield Served(project)
    project.end()


def keep(project: Project, *names: str) -> None:
    """Leave only these deployments in infra/prefect.yaml, under these names, of everything, without a schedule."""
    file = project.folder / "infra/prefect.yaml"
    yaml = YAML()
    values = yaml.load(file.read_text())
    entry = {**values["deployments"][0], "schedules": [], "parameters": {}}
    values["deployments"] = [{**entry, "name": name} for name in names]
    with file.open("w") as opened:
        yaml.dump(values, opened)


def test_a_run_by_hand_joins_the_server_that_is_served(served: Served) -> None:
    done = served.project.run("flows.pipeline")
    assert done.returncode == 0, done.stdout
    assert [run["state_type"] for run in served.runs() if not run["deployment_id"]] == ["COMPLETED"]


def test_the_page_that_opens_is_the_one_that_calls_nobody(served: Served) -> None:
    assert served.page_settings()["default_ui"] == "v1"


def test_a_wrong_password_is_one_message(served: Served) -> None:
    for command in ("flows.pipeline", "flows.deploy"):
        done = served.project.run(
            command, PREFECT_API_URL=f"{served.origin}/api", PREFECT_API_AUTH_STRING="trainyard:guessed"
        )
        assert done.returncode == 1
        assert "the server refuses PREFECT_API_AUTH_STRING" in done.stdout
        assert "Traceback" not in done.stdout


def test_only_prune_deletes_deployments_that_the_file_no_longer_has(served: Served) -> None:
    own: Environment = {"PREFECT_API_URL": f"{served.origin}/api", "PREFECT_API_AUTH_STRING": served.auth}
    keep(served.project, "other")
    assert served.project.run("flows.deploy", **own).stdout.split() == ["pipeline/other"]
    assert served.deployment("pipeline/all")
    assert served.project.run("flows.deploy", "--prune", **own).stdout.split() == ["pipeline/other"]
    with pytest.raises(httpx.HTTPStatusError) as gone:
        served.deployment("pipeline/all")
    assert gone.value.response.status_code == 404


@pytest.mark.parametrize("command", ["flows.pipeline", "flows.deploy"])
def test_a_server_that_is_not_there_is_one_message(command: str, served: Served) -> None:
    done = served.project.run(command, PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api")
    assert done.returncode == 1
    assert "no Prefect server answers" in done.stdout
    assert "unset PREFECT_API_URL" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("port", ["0", "99999", "http"])
def test_a_port_that_is_none_is_one_message(port: str, served: Served) -> None:
    done = served.project.run("flows.serve", "--port", port)
    assert done.returncode == 2
    assert f"{port!r} is no port; it takes 1 to 65535" in done.stdout


def test_a_runs_own_server_asks_for_the_password(project: Project) -> None:
    (project.folder / "dvc.yaml").write_text(STAGE)
    run = project.start("flows.pipeline")
    said = "".join(lines_until(run, "View at"))
    origin = re.search(r"http://127.0.0.1:\d+", said)
    assert origin is not None
    versions = f"{origin[0]}/api/admin/version"
    assert httpx.get(versions).status_code == 401
    user, _, password = (project.folder / ".prefect/password").read_text().partition(":")
    assert httpx.get(versions, auth=(user, password)).status_code == 200
    rest, _ = run.communicate(timeout=90)
    assert run.returncode == 0, rest


EPOCHS = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo cnn  epoch $n/12  loss 0.5; sleep 1; done"


def test_a_run_whose_own_server_is_killed_goes_on_and_is_told_of(project: Project) -> None:
    """Each of its epochs is reported, which may not hold up what prints them."""
    stage = {"cmd": f"{EPOCHS} && date > only.txt", "outs": ["only.txt"]}
    with (project.folder / "dvc.yaml").open("w") as opened:
        YAML().dump({"stages": {"only": stage}}, opened)
    run = project.start("flows.pipeline")
    list(lines_until(run, "epoch 2/12"))
    (server,) = (c for c in psutil.Process(run.pid).children() if c.cmdline()[1:4] == ["-m", "prefect", "server"])
    server.kill()
    started = time.monotonic()
    said = "".join(lines_until(run, "epoch 12/12"))
    assert time.monotonic() - started < 20, "10 epochs of a second"
    assert "Prefect's server died; starting it again" in said
    rest, _ = run.communicate(timeout=120)
    assert run.returncode == 0, rest
    assert "only  ran" in rest
    assert "Traceback" not in said + rest


HELD = """
import time
from flows import stopping
stopping.PATIENCE_SECONDS = 1
stopping.end_soon_after_ctrl_c()
while True:  # as Prefect's client, which asks and asks a server that is gone
    try:
        print("on", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_ctrl_c_ends_a_run_that_waits_for_a_server_which_is_gone() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", HELD], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    list(lines_until(run, "on"))
    run.send_signal(signal.SIGINT)
    out, error = run.communicate(timeout=20)
    assert (run.returncode, out) == (130, "interrupted\non\n")
    assert error == "stopped, though Prefect's server was not told; the same command goes on where it was\n"


RUN = (
    "import time; from flows.stopping import end_with_worker; "
    "end_with_worker(); print('on', flush=True); time.sleep(60)"
)
WORKER = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait())"


def test_a_run_that_prints_nothing_ends_with_its_worker_too() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, RUN],
        cwd=REPO,
        env={**os.environ, "PREFECT__FLOW_RUN_ID": "of this test"},
        stdout=subprocess.PIPE,
        text=True,
    )
    list(lines_until(worker, "on"))
    assert worker.stdout is not None
    (run,) = psutil.Process(worker.pid).children()
    worker.kill()
    worker.wait()
    worker.stdout.close()
    try:
        waited_for(lambda: not run.is_running() or run.status() == psutil.STATUS_ZOMBIE, 20)
    finally:
        with suppress(psutil.NoSuchProcess):
            run.kill()


def test_a_served_project_is_not_served_twice(served: Served) -> None:
    done = served.project.run("flows.serve", "--port", str(free_port()))
    assert done.returncode == 1
    assert done.stdout == "error: `make serve` runs already in this project; stop that one first (Ctrl-C)\n"
    assert served.ask("GET", "/admin/version"), "that one goes on"
