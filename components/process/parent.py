"""End this process with the one that started it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

import psutil

POLL_SECONDS = 0.5
STARTED_BY = "TRAINYARD_STARTED_BY"  # the flow's process, which sets it for the commands that it starts
IN_STAGE = "DVC_STAGE"  # set by DVC for a stage's command


def end_with_starter() -> None:
    """Send this process SIGTERM once the DVC command or the flow that started it is dead.

    Then nothing is left running behind it. A shell, nohup or another program that started it does not matter: what a
    person starts by hand goes on without the terminal. Called before the imports that take seconds, in which a kill of
    DVC would else go unnoticed.
    """
    starter = _starter()
    if starter is None:
        return

    def watch() -> None:
        while _is_above(starter):
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="starter's watch", daemon=True).start()


def _starter() -> int | None:
    """The process with which this one ends; None if a person started it. 0, which is no process, if it is dead."""
    if IN_STAGE not in os.environ:
        flow = os.environ.get(STARTED_BY, "")
        return int(flow) if flow.isdecimal() else None
    while (above := _above()) is None:
        time.sleep(POLL_SECONDS)
    for process in above:
        with suppress(psutil.Error, OSError):  # of another user's nothing can be seen, and DVC is this user's
            if IN_STAGE not in process.environ():
                return 0 if _took_the_place_of_dvc(process) else process.pid
    return 0


def _took_the_place_of_dvc(process: psutil.Process) -> bool:
    """Whether the nearest process that is no stage's is the one that inherits orphans, and not what runs DVC."""
    inherits = process.pid == 1 or os.getsid(process.pid) != os.getsid(0)
    return inherits and not any("dvc" in part for part in process.cmdline())


def _above() -> list[psutil.Process] | None:
    """The parent, its parent, and so on; None where one of them died while they were walked."""
    try:
        return psutil.Process().parents()
    except psutil.Error:
        return None


def _is_above(pid: int) -> bool:
    above = _above()
    return psutil.pid_exists(pid) if above is None else pid in {process.pid for process in above}
