"""A command's main, run so that nobody sees a traceback where there is none to see."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def run_main(main: Callable[[], None]) -> None:
    """Run it. A reader of its output that leaves early, such as `head`, is no fault."""
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it flushes
