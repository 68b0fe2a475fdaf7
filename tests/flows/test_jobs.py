"""`ray job submit`, as docs/cluster.md has it: a job trains on the cluster, and the laptop takes over its model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.cluster.joining import free_port
from tests.conftest import Project, lines_until

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(800)]

RAY = "ray.scripts.scripts"
TOKEN = "0123456789abcdef" * 4
AGENT_SECONDS = 60


@pytest.fixture
def head(project: Project) -> Iterator[dict[str, Any]]:
    """A Ray head with a dashboard; the environment that submits jobs to it."""
    page = free_port()
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"}
    command = [RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={free_port()}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={page}", f"--ray-client-server-port={free_port()}"]
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    process = project.start(*command, **own)
    list(lines_until(process, "Ray runtime started"))
    yield {**own, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{page}"}
    process.terminate()
    process.communicate(timeout=60)


def submitted(project: Project, *command: str, **head: Any) -> subprocess.CompletedProcess[str]:
    """`ray job submit …`, again while the head's agent, which takes jobs, is still starting."""
    deadline = time.monotonic() + AGENT_SECONDS
    while True:
        job = project.run(RAY, "job", "submit", *command, **head)
        if "No available agent" not in job.stdout or time.monotonic() > deadline:
            return job


def test_a_job_trains_and_the_laptop_takes_over_its_model(
    project: Project, head: dict[str, Any], tmp_path: Path
) -> None:
    storage = f"file://{tmp_path}/shared"
    sent = json.dumps({"env_vars": {"TRAINYARD_STORAGE": storage}})
    train = "git init --quiet && dvc repro train@cnn"
    job = submitted(project, "--working-dir", ".", "--runtime-env-json", sent, "--", "sh", "-c", train, **head)
    assert job.returncode == 0, job.stdout
    assert "cnn  epoch 3/3" in job.stdout
    assert not (project.folder / "data/models/cnn").exists(), "the job had a copy of the code"
    here = project.run("dvc", "repro", "train@cnn", TRAINYARD_STORAGE=storage)
    assert here.returncode == 0, here.stdout
    assert "already trained; the model is taken from" in here.stdout
    assert "epoch" not in here.stdout.replace("already", "")
    assert (project.folder / "data/models/cnn/model.safetensors").exists()


def test_a_job_without_the_token_is_refused(project: Project, head: dict[str, Any]) -> None:
    guessed = {**head, "RAY_AUTH_TOKEN": "f" * 64}
    job = project.run(RAY, "job", "submit", "--", sys.executable, "--version", **guessed)
    assert job.returncode != 0
    assert "token" in job.stdout.lower()
