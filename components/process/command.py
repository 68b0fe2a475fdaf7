"""How each command begins, and how it ends: told what it is to do, and with one message where that cannot be done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from components.errors import UserError
from components.process.openmp import set_for_torch
from components.process.parent import end_with_starter


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read a command's arguments; then end with what started it, and have torch's threads wait as they should.

    Called before the imports that take seconds: --help needs none of them, nor does a kill of DVC go unnoticed in them.
    """
    given = parser.parse_args()
    end_with_starter()
    set_for_torch()
    return given


def run(main: Callable[[], None]) -> NoReturn:
    """Run a command's main: a fault the user can mend is one message and exit 2, with no traceback.

    A reader of its output that leaves early, such as `head`, is no fault.
    """
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it flushes
    sys.exit(0)
