"""What a process owes to the one that started it."""

from __future__ import annotations

import os
import signal
import threading
import time

import psutil

POLL_SECONDS = 0.5


def end_with_parent() -> None:
    """Send this process SIGTERM once the one that started it is dead, so that nothing is left running behind it.

    In a DVC stage that is DVC itself, behind whichever shell it puts between. A parent that dies before this is
    called is not noticed.
    """
    starters = _starters()

    def watch() -> None:
        while _starters() == starters:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _starters() -> list[int]:
    """The parent's id, and those above it as far as DVC: the nearest without the DVC_STAGE that DVC sets."""
    found: list[int] = []
    try:
        for process in psutil.Process().parents():
            found.append(process.pid)
            if "DVC_STAGE" not in process.environ():
                break
    except psutil.Error:
        pass  # a process that just died or that is another user's is where the line ends
    return found
