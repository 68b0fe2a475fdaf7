"""How many of the machine's cores a process uses, each with a thread: those that it is given, and no more.

Threads beyond the cores wait for each other in vain, and on small networks a second thread gains nothing.
"""

from __future__ import annotations

import os

from components.errors import UserError

VARIABLE = "TRAINYARD_CORES"  # set by the flow, which shares the machine's cores among the stages that run side by side


def given() -> int:
    """The cores that this process is given: by TRAINYARD_CORES, else all that it may run on. Raises UserError."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{VARIABLE}: {text!r} is not allowed: it takes an integer >= 1")
    return int(text)


def use(one: bool = False) -> None:
    """Have torch use as many threads, or but one, unless more cores are given expressly."""
    import torch  # here, since stages without torch ask for their cores, too

    torch.set_num_threads(1 if one and VARIABLE not in os.environ else given())
