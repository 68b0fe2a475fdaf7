"""Stages that do not wait for each other run at the same time, and DVC's record of them is the same as one by one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from components.cluster import free_port
from flows.stage import reproduce
from tests.conftest import Project
from tests.test_serve import waited_for

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(400)]

STAGES = """
stages:
  one: {{cmd: sleep {seconds} && echo {text} > one.txt, outs: [one.txt]}}
  two: {{cmd: sleep {seconds} && echo {text} > two.txt, outs: [two.txt]}}
"""


def sleeping(folder: Path, seconds: float, text: str = "same") -> Project:
    project = Project(folder)
    (folder / "dvc.yaml").write_text(STAGES.format(seconds=seconds, text=text))
    return project


def test_the_flow_takes_at_most_0_65_of_dvc_repros_time(tmp_path: Path) -> None:
    """With a Prefect server that runs already, as a team has it. Both are asleep most of the time, at the same time."""
    serial, flow = sleeping(tmp_path / "serial", 50), sleeping(tmp_path / "flow", 50)
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    flow.start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    waited_for(lambda: httpx.get(f"{api}/health").is_success, 60)
    with ThreadPoolExecutor() as both:
        alone = both.submit(timed, serial, api, "dvc", "repro")
        together = both.submit(timed, flow, api, "flows.pipeline")
        ratio = together.result() / alone.result()
    flow.end()
    assert ratio <= 0.65
    assert stages_of(flow) == stages_of(serial)


def stages_of(project: Project) -> Any:
    """What dvc.lock says of each stage. DVC appends new ones as they end, so that their order there is chance."""
    return YAML(typ="safe").load((project.folder / "dvc.lock").read_text())["stages"]


def timed(project: Project, api: str, *command: str) -> float:
    started = time.monotonic()
    done = project.run(*command, PREFECT_API_URL=api)
    assert done.returncode == 0, done.stdout
    return time.monotonic() - started


def test_dvc_lock_is_the_same_ten_times_of_ten(tmp_path: Path) -> None:
    serial, both = sleeping(tmp_path / "serial", 0), sleeping(tmp_path / "both", 0)
    for number in range(10):
        for project in (serial, both):
            (project.folder / "dvc.yaml").write_text(STAGES.format(seconds=0.1, text=number))
        assert serial.run("dvc", "repro").returncode == 0
        with ThreadPoolExecutor() as threads:
            ended = threads.map(lambda stage: reproduce(stage, both.folder, {}, print), ("one", "two"))
            assert [*ended] == ["ran", "ran"]
        assert stages_of(both) == stages_of(serial)
