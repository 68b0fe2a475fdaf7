"""Two nodes, one of them without data, that share a storage on S3; DVC's remote there; going on on another machine."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.cluster import settings
from components.cluster.joining import free_port
from components.data.arrays import open_split
from tests.conftest import SECRET, Environment, Project, contents, files_with, lines_until, synthetic

pytestmark = [pytest.mark.slow, pytest.mark.processes]

EPOCHS = 6


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, s3: Environment) -> Iterator[Project]:
    """A project whose split data are in a DVC remote on S3."""
    project = Project(tmp_path_factory.mktemp("first") / "project")
    project.change(mnist__source=synthetic("mnist"), cnn__epochs=EPOCHS, cnn__batch_size=8)
    for command in (
        "remote add --default s3 s3://bucket/dvc",
        "repro split@mnist",
        "push preprocess@mnist split@mnist",
    ):
        done = project.run("dvc", *command.split(), **s3)
        assert done.returncode == 0, done.stdout
    yield project
    project.end()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, pushed: Project, s3: Environment) -> Iterator[Project]:
    """What another machine has of it: what is committed, and what `dvc pull` brings."""
    project = Project(tmp_path_factory.mktemp("second") / "project")
    for name in ("params.yaml", "dvc.lock", ".dvc/config"):
        shutil.copyfile(pushed.folder / name, project.folder / name)
    done = project.run("dvc", "pull", "preprocess@mnist", "split@mnist", **s3)
    assert done.returncode == 0, done.stdout
    yield project
    project.end()


def test_dvc_pulls_from_s3_what_was_pushed_there(pushed: Project, clone: Project) -> None:
    for step in ("preprocessed", "split"):
        assert contents(clone.folder / f"data/{step}/mnist") == contents(pushed.folder / f"data/{step}/mnist")
    assert len(open_split(clone.folder / "data/split/mnist").arrays["inputs"]) == 1200


@pytest.fixture
def two_nodes(pushed: Project, tmp_path: Path, session: Path) -> Iterator[Environment]:
    """A head, and a node without the project, with one core each; the environment that joins them.

    127.0.0.2 is this machine, too, but not the address that Ray is joined at on one's own: code is sent there.
    """
    address = f"127.0.0.2:{free_port()}"
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    own |= settings.NO_DASHBOARD_SETTINGS
    own["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] = "0"  # else the head takes 30 s to stop
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    ray += ["--node-ip-address=127.0.0.2"]
    head = ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false", f"--temp-dir={session}"]
    elsewhere = {"TRAINYARD_ROOT": str(tmp_path / "none"), "TRAINYARD_CACHE": str(tmp_path / "cache")}
    nodes = []
    try:
        for arguments, its in (
            ([*head, f"--ray-client-server-port={free_port()}"], {}),
            ([f"--address={address}"], elsewhere),
        ):
            environment = {**pushed.environment, **own, **its}
            node = subprocess.Popen(
                [*ray, *arguments],
                cwd=tmp_path,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            nodes.append(node)
            list(lines_until(node, "Ray runtime started"))
        yield {**own, "RAY_ADDRESS": address}
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.communicate(timeout=60)


def test_a_node_without_data_trains_and_another_machine_goes_on_after_a_kill(
    pushed: Project, clone: Project, s3: Environment, two_nodes: Environment, session: Path, tmp_path: Path
) -> None:
    first = pushed.start("components.train", "cnn", **s3, **two_nodes)
    said = "".join(lines_until(first, f"epoch 2/{EPOCHS}"))
    assert "training on 2 workers with 1 CPU core each" in said
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    fetched = [contents(folder) for folder in (tmp_path / "cache").iterdir() if folder.is_dir()]
    parts = [contents(pushed.folder / f"data/{step}/mnist") for step in ("preprocessed", "split")]
    assert sorted(fetched, key=sorted) == sorted(parts, key=sorted)

    again = clone.run("components.train", "cnn", **s3, **two_nodes)
    assert again.returncode == 0, again.stdout
    assert "going on after epoch" in again.stdout
    assert len((clone.folder / "data/models/cnn/history.csv").read_text().splitlines()) == 1 + EPOCHS
    assert not [file for own in (clone, pushed) for file in own.folder.glob(".runs/train@*/*/*")], (
        "checkpoints are on S3 alone"
    )
    assert files_with(session, "CUBLAS_WORKSPACE_CONFIG"), "Ray logs the variables that it brings to workers"
    assert not files_with(session, SECRET)
