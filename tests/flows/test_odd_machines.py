"""The flow where the environment has proxies, DVC's files are cut short, or a user's own files changed."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.data.arrays import open_split
from components.data.synthetic import digits
from tests.conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.processes]

NOWHERE = {"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}


def test_the_flow_mends_a_lock_that_was_cut_short_and_asks_its_own_server_through_no_proxy(small: Project) -> None:
    assert small.run("dvc", "repro").returncode == 0
    assert small.run("flows.mend").returncode == 0
    (small.folder / "dvc.lock").write_bytes(b"")
    done = small.run("flows.pipeline", seconds=110, no_proxy="", **NOWHERE)
    assert done.returncode == 0, done.stdout
    assert "dvc.lock was cut short by a kill; its copy of 2 stages is in its place" in done.stdout
    assert "Nothing to do" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Project]:
    """A project that trains on digits in a folder of the user's own, which DVC has split."""
    project = Project(tmp_path / "project")
    (tmp_path / "digits").mkdir()
    digits.make(tmp_path / "digits")
    project.change(mnist__source=str(tmp_path / "digits"))
    done = project.run("dvc", "repro", "split@mnist")
    assert done.returncode == 0, done.stdout
    yield project
    project.end()


def test_a_users_own_file_that_changed_is_noticed_and_read_anew(own: Project) -> None:
    before = open_split(own.folder / "data/split/mnist").fingerprint
    assert "Nothing to do" in own.run("flows.pipeline", "--plan", "split@mnist").stdout
    labels = own.folder.parent / "digits/train-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[8:] = bytes(9 - label for label in content[8:])
    labels.write_bytes(gzip.compress(bytes(content)))

    planned = own.run("flows.pipeline", "--plan", "split@mnist").stdout
    assert re.search(rf"download@mnist .*{labels.parent} changed\n", planned)
    done = own.run("flows.pipeline", "split@mnist")
    assert done.returncode == 0, done.stdout
    after = open_split(own.folder / "data/split/mnist")
    assert after.fingerprint != before
    assert np.bincount(after.arrays["targets"]).tolist() == [120] * 10
    assert "Nothing to do" in own.run("flows.pipeline", "--plan", "split@mnist").stdout


KILLED_ONCE = (
    "stages:\n"
    "  first: {cmd: 'test -e .once || { touch .once; kill -9 $$; }; echo done > first.txt', outs: [first.txt]}\n"
)
KILLED_ALWAYS = "stages:\n  first: {cmd: 'echo again >> .tries; kill -9 $$', outs: [first.txt]}\n"


def test_a_stage_whose_process_was_killed_runs_once_more_and_no_more_than_that(small: Project) -> None:
    """As where memory ran out: nobody here has killed it."""
    (small.folder / "dvc.yaml").write_text(KILLED_ONCE)
    done = small.run("flows.pipeline", seconds=200)
    assert done.returncode == 0, done.stdout
    assert "first: its process was killed; once more, from where it was" in done.stdout
    assert (small.folder / "first.txt").read_text() == "done\n"

    (small.folder / "dvc.yaml").write_text(KILLED_ALWAYS)
    done = small.run("flows.pipeline", seconds=200)
    assert done.returncode == 1
    assert "first failed" in done.stdout
    assert (small.folder / ".tries").read_text() == "again\nagain\n"
