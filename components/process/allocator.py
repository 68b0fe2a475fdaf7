"""How this process's memory is had from the system."""

from __future__ import annotations

import ctypes
import os
import sys

# Of glibc's malloc.h, for mallopt(3).
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
MOST_KEPT, LARGEST_KEPT = 512 << 20, 32 << 20  # bytes: at the heap's end, and of one array, which glibc allows at most


def keep_freed() -> None:
    """Keep what a step has freed for the next one, which needs as much.

    By default glibc gives it back to the system, and has it again page by page, each of which the system clears:
    `python -m bench.machine` measures what that costs. Elsewhere, or where the user has set these, nothing is done.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, MOST_KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
