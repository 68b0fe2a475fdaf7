"""What a process owes to the one that started it."""

from __future__ import annotations

import ctypes
import signal
import sys


def end_with_parent() -> None:
    """Have Linux send this process SIGTERM when its parent dies, so that nothing is left running behind it.

    Elsewhere this does nothing: a second process for the same training waits for the first one's lock.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
