"""One stage, run by DVC in a process of its own, its output handed on line by line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

from flows.graph import DVC
from flows.loopback import given_back

Outcome = Literal["ran", "unchanged", "cached"]
SKIPPED = "didn't change, skipping"
RESTORED = "is cached - skipping run"
DVCS_ERROR = "ERROR:"
KILLED = re.compile(r"failed to run: .*, exited with (-9|137)$")  # by SIGKILL, as Python or a shell tells it
EMPTY = re.compile(r"WARNING: '.*' is empty\.")  # an output, such as the images of what draws none
COMMAND_FAILED = "failed to run:"  # in DVC's error where it was the stage's command that failed
STARTER = "TRAINYARD_STARTED_BY"  # the process with which those that it starts end; components/process/parent.py's
STOP_BY_ITSELF_SECONDS = 5
KILL_AFTER_SECONDS = 10
_running: set[int] = set()  # the processes of the stages that run now
_stopped: set[int] = set()  # of these, the ones that were told to stop


class StageError(RuntimeError):
    """A stage's command failed; the text is one line, what it said of it."""


class StageKilledError(StageError):
    """A stage's process was killed, by no one here: the machine's memory may have run out."""


def reproduce(stage: str, repo: Path, environment: Mapping[str, str], log: Callable[[str], None]) -> Outcome:
    """Bring one stage up to date and tell what DVC did. Raises StageError if its command fails."""
    # --wait-for-lock: else DVC gives up after 3 s if another stage is being saved, and a training is lost.
    command = [*DVC, "--wait-for-lock", "repro", "--single-item", stage]
    said = run_command(command, repo, environment, log)
    if any(SKIPPED in line for line in said):
        return "unchanged"
    return "cached" if any(RESTORED in line for line in said) else "ran"


def run_command(
    command: Sequence[str], repo: Path, environment: Mapping[str, str], log: Callable[[str], None]
) -> list[str]:
    """Run a command, hand its lines on, and return them. Raises StageError if it fails.

    Its processes stay in this one's group, so that a signal to the group reaches them all, and they are
    stopped when this call ends for any reason.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.end_with_parent", *command],
        cwd=repo,
        env=_environment(environment),
        text=True,
        bufsize=1,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    _running.add(process.pid)
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in map(str.rstrip, process.stdout):
            said.append(line)
            if line and not _is_chatter(line):
                log(line)
        code = process.wait()
    finally:
        stop_tree(process.pid)
        process.stdout.close()
        _running.discard(process.pid)
    if process.pid in _stopped:  # who stops it waits for it too, and may take its code, which then reads 0 here
        _stopped.discard(process.pid)
        raise StageError("stopped before its end")
    if code:
        told = [line for line in said if line and not _is_chatter(line)]
        kind = StageKilledError if any(KILLED.search(line) for line in said) else StageError
        raise kind(_reason(told) or f"{command[0]} ended with {code}")
    return said


def stop_all() -> None:
    """Stop the stages that run now; each `reproduce` then ends. Ctrl-C, which reached them too, is given its time."""
    _stopped.update(_running)
    running = [psutil.Process(pid) for pid in tuple(_running) if psutil.pid_exists(pid)]
    for process in psutil.wait_procs(running, timeout=STOP_BY_ITSELF_SECONDS)[1]:
        stop_tree(process.pid)


def stop_tree(pid: int) -> None:
    """Ask a process and all its descendants to end, and kill what has not after 10 s."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        _, alive = psutil.wait_procs(family, timeout=KILL_AFTER_SECONDS)
        for member in alive:
            with suppress(psutil.NoSuchProcess):
                member.kill()


def _reason(said: list[str]) -> str:
    """Why it failed: DVC's own reason, unless it says that the stage's command did; else the command's last error.

    Of a command the last line where it told of no error.
    """
    errors_of_dvc = [place for place, line in enumerate(said) if line.startswith(DVCS_ERROR)]
    whole = [place for place in errors_of_dvc if said[place].startswith(f"{DVCS_ERROR} failed to reproduce")]
    dvcs = (whole or errors_of_dvc or [len(said)])[-1]  # a command may print such a line, too
    if dvcs < len(said) and not any(COMMAND_FAILED in line for line in said[dvcs:]):
        return " ".join(line.strip() for line in said[dvcs:]).removeprefix(DVCS_ERROR).strip()
    own = said[:dvcs] or said
    errors = [line for line in own if line.startswith("error:")]
    return (errors or own or [""])[-1].removeprefix("error: ")


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Unbuffered output, and this Python first on the path: dvc.yaml says just `python`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    own = {"PYTHONUNBUFFERED": "1", "PATH": path, STARTER: str(os.getpid()), **given_back()}
    return {**os.environ, **own, **extra}


def _is_chatter(line: str) -> bool:
    """Lines that DVC prints beside a stage's own, and Ray of a signal that it was sent."""
    return (
        "logging.cc:" in line
        or EMPTY.fullmatch(line) is not None
        or line.startswith(
            (
                "*** SIGTERM received",
                "PC: @",
                "    @ ",
                "Updating lock file",
                "Use `dvc push`",
                "To track the changes",
                "To enable auto",
                "\tgit add",
                "\tdvc config",
                "Data and pipelines are up to date",
                "Running stage",
                "Stage '",
                "> ",
            )
        )
    )
