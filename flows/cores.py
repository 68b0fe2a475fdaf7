"""The machine's cores, shared among the stages that run side by side: a large one takes all, any other takes one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

VARIABLE = "TRAINYARD_CORES"  # read by components/process/cores.py
ON_A_BACKBONE = ("prepare", "evaluate")  # stages in which it sees all images


def there_are() -> int:
    """The cores that this process may use: those of TRAINYARD_CORES, else the machine's. Raises ValueError."""
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isdecimal() or int(asked) < 1:
        raise ValueError(f"{VARIABLE}: {asked!r} is not allowed: it takes an integer >= 1")
    return int(asked)


def taken(stage: str, small: Mapping[str, bool], large: Collection[str], total: int) -> int:
    """How many cores a stage runs on.

    small: model → whether its training gains little from a second core.
    large: the models on a backbone.
    """
    group, _, name = stage.partition("@")
    if group == "train":
        return 1 if small.get(name, True) else total
    return total if group in ON_A_BACKBONE and name in large else 1


def environment(count: int) -> dict[str, str]:
    """Variables that tell a stage its cores: torch by the first, other libraries by the second, read when imported."""
    return {VARIABLE: str(count), "OMP_NUM_THREADS": str(count)}
