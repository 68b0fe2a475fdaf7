"""A stage ends with the DVC or the flow that started it, and with nothing else."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.code.imports import file_of
from components.code.imports import program as program_of
from components.process import openmp
from tests.conftest import REPO
from tests.flows.served import waited_for

pytestmark = [pytest.mark.slow, pytest.mark.processes]

# What stands at the beginning of each stage, before imports that take long.
STAGE = (
    "import os, time; from components.process.parent import end_with_starter; end_with_starter(); time.sleep({seconds})"
)


@pytest.fixture
def note(tmp_path: Path) -> Iterator[Path]:
    """Where a started program leaves its process id, which is ended at last."""
    file = tmp_path / "pid"
    yield file
    if file.exists() and psutil.pid_exists(int(file.read_text())):
        os.kill(int(file.read_text()), signal.SIGKILL)


def program(note: Path, before: str = "", seconds: float = 30) -> list[str]:
    """A stage that notes its process id as soon as Python has started."""
    code = f"import os; open({str(note)!r}, 'w').write(str(os.getpid())); {before}{STAGE.format(seconds=seconds)}"
    return [sys.executable, "-c", code]


def environment(**more: str) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if k not in ("DVC_STAGE", "TRAINYARD_STARTED_BY")}
    return {**own, "PYTHONPATH": str(REPO), **more}


# A program that starts another one, with an environment, and then waits for it: as DVC, a shell or the flow does.
STARTER = """
import json, os, subprocess, sys
process = subprocess.Popen(json.loads(sys.argv[1]), env={**os.environ, **json.loads(sys.argv[2])})
open(sys.argv[3], "w").write(str(process.pid))
process.wait()
"""


def started(command: list[str], note: Path, name: str = "dvc", **variables: str) -> subprocess.Popen[bytes]:
    """Something called `name` that has started the command with these variables."""
    script = note.with_name(f"{name}.py")
    script.write_text(STARTER)
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(command), json.dumps(variables), str(note.with_name("child"))],
        env=environment(),
    )
    waited_for(note.exists, 20)
    waited_for(lambda: bool(note.read_text()), 5)
    return process


def ends(note: Path, seconds: float) -> bool:
    """Whether the program that left the note ends within these seconds."""
    pid, deadline = int(note.read_text()), time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("shell", [False, True], ids=["directly", "behind a shell"])
def test_a_stage_ends_with_the_dvc_that_started_it(shell: bool, note: Path) -> None:
    command = program(note)
    if shell:
        command = ["/bin/sh", "-c", '"$0" "$@"; true', *command]
    dvc = started(command, note, DVC_STAGE="train@cnn")
    assert not ends(note, 1.5)
    dvc.kill()
    dvc.wait()
    assert ends(note, 5)


def test_a_stage_whose_dvc_dies_while_it_still_imports_ends_too(note: Path) -> None:
    """Long before it looks for it: it is then a child of the process that inherits orphans."""
    dvc = started(program(note, before="import time; time.sleep(2); "), note, DVC_STAGE="train@cnn")
    dvc.kill()
    dvc.wait()
    assert not ends(note, 1)
    assert ends(note, 5)


def test_a_command_that_the_flow_started_ends_with_it(note: Path) -> None:
    command = ["/bin/sh", "-c", 'TRAINYARD_STARTED_BY=$PPID exec "$0" "$@"', *program(note)]
    flow = started(command, note, name="flow")
    assert not ends(note, 1.5)
    flow.kill()
    flow.wait()
    assert ends(note, 5)


@pytest.mark.parametrize("way", ["nohup", "setsid", "disown"])
def test_what_a_person_starts_goes_on_without_the_shell(way: str, note: Path) -> None:
    prefix = {"nohup": "nohup ", "setsid": "setsid ", "disown": ""}[way]
    line = f'{prefix}"$0" "$@" >/dev/null 2>&1 & {"disown; " if way == "disown" else ""}sleep 60'
    shell = started(["bash", "-c", line, *program(note)], note, name="terminal")
    child = int(note.with_name("child").read_text())
    os.kill(child, signal.SIGKILL)
    shell.kill()
    shell.wait()
    assert not ends(note, 3)


def test_every_stage_watches_before_its_imports() -> None:
    """They take seconds, in which DVC may be killed."""
    from tests.code.test_dependencies import command, stages

    for stage in stages().values():
        code = ast.parse(file_of(program_of(command(stage))).read_text()).body
        main = next(node for node in code if isinstance(node, ast.If))
        assert "begin(" in ast.unparse(main), command(stage)


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE", "THP_MEM_ALLOC_ENABLE": "0"}, None)],
    ids=str,
)
def test_how_threads_wait_is_the_users_where_it_is_set(
    given: dict[str, str], spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    openmp.set_for_torch()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
    assert os.environ[openmp.LARGE_PAGES] == given.get(openmp.LARGE_PAGES, "1")
