"""What is reported beside a run never holds it up; why a stage failed is told in the words of who knows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from flows import background, loopback
from flows.background import Newest, within
from flows.stage import _reason
from tests.conftest import REPO


def test_a_server_that_does_not_answer_holds_no_line_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "LAST_SECONDS", 0.5)
    asked, answer = [], threading.Event()
    newest = Newest()

    def report(number: int) -> None:
        asked.append(number)
        answer.wait(60)

    started = time.monotonic()
    for number in range(100):
        newest.do(lambda number=number: report(number))  # type: ignore[misc]
        time.sleep(0.001)
    newest.end()
    assert time.monotonic() - started < 3
    assert asked[0] < 100
    assert len(asked) == 1
    answer.set()


def test_the_newest_report_is_the_last_that_is_made_and_faults_are_nobodys() -> None:
    made: list[int] = []
    newest = Newest()

    def report(number: int) -> None:
        time.sleep(0.01)
        made.append(number)
        raise OSError("the server is gone")

    for number in range(20):
        newest.do(lambda number=number: report(number))  # type: ignore[misc]
    newest.end()
    assert made[-1] == 19
    assert made == sorted(made)


def test_work_that_takes_too_long_is_gone_on_without() -> None:
    started = time.monotonic()
    within(0.2, lambda: time.sleep(30))
    assert time.monotonic() - started < 5
    done: list[int] = []
    within(5, lambda: done.append(1))
    assert done == [1]


SAID = {
    "the stage's own error": (
        [
            "> python -m x",
            "error: the reason",
            "ERROR: failed to reproduce 'x': failed to run: python -m x, exited with 2",
        ],
        "the reason",
    ),
    "the stage's last line": (
        ["a", "b", "ERROR: failed to reproduce 'x': failed to run: python -m x, exited with -9"],
        "b",
    ),
    "DVC's, where the command succeeded": (
        [
            "error: an old one",
            "cnn  epoch 3/3",
            "ERROR: output 'data/x' is already tracked by SCM (e.g. Git).",
            "  remove it",
        ],
        "output 'data/x' is already tracked by SCM (e.g. Git). remove it",
    ),
    "DVC's of a full disk": (
        ["cnn  epoch 3/3", "ERROR: failed to reproduce 'x': [Errno 28] No space left on device"],
        "failed to reproduce 'x': [Errno 28] No space left on device",
    ),
    "the stage's, though it has an ERROR of its own": (
        ["epoch 1", "ERROR: a warning", "error: too large", "ERROR: failed to reproduce 'x': failed to run: python"],
        "too large",
    ),
    "nothing": ([], ""),
}


@pytest.mark.parametrize("name", SAID)
def test_a_stages_failure_is_told_by_who_failed(name: str) -> None:
    said, reason = SAID[name]
    assert _reason(said) == reason


def test_loopback_needs_no_proxy_and_others_keep_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "_taken", {})
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("NO_PROXY", "corp.local")
    monkeypatch.setenv("http_proxy", "http://proxy:1")
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:2")
    loopback.without_proxy()
    loopback.without_proxy()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "example.org,corp.local,127.0.0.1,localhost,::1"
    assert os.environ["http_proxy"] == "http://proxy:1"
    assert "ALL_PROXY" not in os.environ
    assert loopback.given_back() == {"ALL_PROXY": "socks5://proxy:2"}


def test_no_proxy_for_anything_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NO_PROXY", raising=False)
    loopback.without_proxy()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "*"


def test_a_reader_that_leaves_early_is_no_fault() -> None:
    line = f"{sys.executable} -m components.params | head -n 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=REPO, text=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
