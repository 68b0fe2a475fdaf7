"""Stages that do not wait for each other run at the same time, and DVC's record of them says the same as one by one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from components.cluster.joining import free_port
from flows.stage import reproduce
from tests.conftest import Project
from tests.flows.served import waited_for

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(400)]

STAGES = """
stages:
  one: {cmd: sleep $ONE && echo same > one.txt, outs: [one.txt]}
  two: {cmd: sleep $TWO && echo same > two.txt, outs: [two.txt]}
"""


def sleeping(folder: Path, one: float, two: float) -> Project:
    """A project of two stages that sleep for these seconds."""
    project = Project(folder)
    (folder / "dvc.yaml").write_text(STAGES)
    project.environment |= {"ONE": str(one), "TWO": str(two)}
    return project


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    """A Prefect server that runs already, as a team has it."""
    project, port = Project(tmp_path / "server"), free_port()
    project.start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    api = f"http://127.0.0.1:{port}/api"
    waited_for(lambda: httpx.get(f"{api}/health").is_success, 120)
    yield api
    project.end()


def test_the_flow_takes_at_most_0_65_of_dvc_repros_time(tmp_path: Path, api: str) -> None:
    """Both sleep at the same time, and so long that Prefect and DVC may start on a busy machine."""
    serial, flow = sleeping(tmp_path / "serial", 120, 118), sleeping(tmp_path / "flow", 120, 118)
    with ThreadPoolExecutor() as both:
        alone = both.submit(timed, serial, api, "dvc", "repro")
        together = both.submit(timed, flow, api, "flows.pipeline")
        ratio = together.result() / alone.result()
    assert ratio <= 0.65
    assert lock(flow) == lock(serial)


def lock(project: Project) -> Any:
    return YAML(typ="safe").load((project.folder / "dvc.lock").read_text())


def timed(project: Project, api: str, *command: str) -> float:
    started = time.monotonic()
    done = project.run(*command, PREFECT_API_URL=api)
    assert done.returncode == 0, done.stdout
    return time.monotonic() - started


def test_dvc_lock_says_the_same_though_the_second_stage_ends_first(tmp_path: Path) -> None:
    serial, both = sleeping(tmp_path / "serial", 0, 0), sleeping(tmp_path / "both", 1.5, 0)
    assert serial.run("dvc", "repro").returncode == 0
    for _ in range(3):
        with ThreadPoolExecutor() as threads:
            ended = threads.map(lambda stage: reproduce(stage, both.folder, both.environment, print), ("one", "two"))
            assert [*ended] == ["ran", "ran"]
        assert lock(both) == lock(serial)
        for made in ("one.txt", "two.txt", "dvc.lock"):
            (both.folder / made).unlink()
        shutil.rmtree(both.folder / ".dvc/cache")
