"""A run ends with the worker that started it, which alone can cancel it, and soon after Ctrl-C, whatever holds it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

import psutil

from flows.stage import stop_all, stop_tree

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 30.0  # after Ctrl-C, in which stages end by themselves and Prefect is told
INTERRUPTED = 130  # as shells have it


def end_with_worker() -> None:
    """Send this process a SIGTERM, which Prefect takes for a crash, once the worker that started it is gone."""
    if "PREFECT__FLOW_RUN_ID" in os.environ:  # else a person started it
        threading.Thread(target=_watch, args=(os.getppid(),), name="worker's watch", daemon=True).start()


def _watch(worker: int) -> None:
    while os.getppid() == worker:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def end_soon_after_ctrl_c() -> None:
    """Have Ctrl-C end this process within seconds, though Prefect's client waits for a server that is gone."""

    def interrupted(number: int, frame: Any) -> None:
        threading.Thread(target=_end, name="after Ctrl-C", daemon=True).start()
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)


def _end() -> None:
    time.sleep(PATIENCE_SECONDS)
    stop_all()
    print("stopped, though Prefect's server was not told; the same command goes on where it was", file=sys.stderr)
    for child in psutil.Process().children():
        stop_tree(child.pid)
    os._exit(INTERRUPTED)
