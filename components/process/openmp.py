"""How torch, and the OpenMP that it computes with, use cores and memory, as their environment says."""

from __future__ import annotations

import os

SPINS, SPINS_BY = "1000", {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"


def set_for_torch() -> None:
    """Set what they read as they are imported. What the user has set stays.

    Threads that wait for each other's share of a computation spin for microseconds, then sleep. GNU's OpenMP spins for
    milliseconds: where another process needs the cores, the thread that is waited for is then kept from its own.

    Arrays of 2 MB and more lie in large pages where the system has some: each page of a new array is cleared, and a
    large head's gradients are new at each step.
    """
    if not SPINS_BY & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
    os.environ.setdefault(LARGE_PAGES, "1")
