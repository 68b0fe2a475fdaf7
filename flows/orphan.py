"""A run that a worker started ends with that worker: the next worker knows nothing of it, and could not cancel it."""

from __future__ import annotations

import os
import signal
import threading
import time

LOOK_SECONDS = 1.0


def end_with_worker() -> None:
    """Send this process a SIGTERM, which Prefect takes for a crash, once the worker that started it is gone."""
    if "PREFECT__FLOW_RUN_ID" in os.environ:  # else a person started it
        threading.Thread(target=_watch, args=(os.getppid(),), name="worker's watch", daemon=True).start()


def _watch(worker: int) -> None:
    while os.getppid() == worker:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
