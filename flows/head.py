"""The Ray head that the trainings of one flow run share, where they take one."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from flows.stage import StageError, stop_tree

WORKERS = "TRAINYARD_WORKERS"  # components/cluster's
NVIDIA = Path("/proc/driver/nvidia/gpus")
STARTED = "Ray runtime started"
START_SECONDS = 90


def head_for_trainings(repo: Path) -> AbstractContextManager[Mapping[str, str]]:
    """A head where trainings take one: several workers of this machine, or its GPUs. One worker needs none."""
    asked = os.environ.get(WORKERS)
    several = int(asked) > 1 if asked and asked.isdecimal() else asked is None and _gpus() > 1
    return ray_head(repo) if several else nullcontext({})


def _gpus() -> int:
    """This machine's, as far as CUDA is to see them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip()])
    return len([*NVIDIA.iterdir()]) if NVIDIA.is_dir() else 0


@contextmanager
def ray_head(repo: Path) -> Iterator[Mapping[str, str]]:
    """Start a head for this block and yield the environment that joins it.

    Where RAY_ADDRESS is set already, nothing is started and nothing need be added. Raises StageError.
    """
    if os.environ.get("RAY_ADDRESS"):
        yield {}
        return
    port = free_port()
    joined = {
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    head = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "flows.end_with_parent",
            sys.executable,
            "-m",
            "components.cluster",
            "--port",
            str(port),
        ],
        cwd=repo,
        env={**os.environ, **joined, "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C goes to the stages; the head ends after them
    )
    try:
        _wait_until_started(head)
        yield joined
    finally:
        stop_tree(head.pid)


def _wait_until_started(head: subprocess.Popen[str]) -> None:
    """Read the head's output until it says so, and go on reading it, so that it never blocks."""
    assert head.stdout is not None
    said: list[str] = []
    started = threading.Event()

    def read(lines: Iterator[str]) -> None:
        for line in lines:
            if STARTED in line:
                started.set()
            said.append(line)
        started.set()  # it ended

    threading.Thread(target=read, args=(iter(head.stdout),), daemon=True).start()
    if not started.wait(START_SECONDS) or not any(STARTED in line for line in said):
        told = [line for line in said if line.startswith("error: ")] or said[-10:]
        raise StageError(f"Ray's head did not start: {''.join(told).strip().removeprefix('error: ')}")


def free_port() -> int:
    """A port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
