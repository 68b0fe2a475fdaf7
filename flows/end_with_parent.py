"""Start a command that Linux stops when the process that started it dies.

    python -m flows.end_with_parent COMMAND …

The signal is asked for in the child itself, before it becomes the command: a function run between fork and
exec is not safe in a program with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def main() -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell that starts us in the background has it ignored
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
