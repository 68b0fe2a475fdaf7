"""Folders that Ray does not take as they are: Python's, with spaces in it, and temporary ones with long names."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

from components.errors import UserError

SOCKET_BYTES = 107  # that the path of a Unix socket may have
RAYS_BYTES = 68  # of it, below the temporary folder: /ray/session_2026-11-28_13-44-33_123456_1234567/sockets/…
TEMPORARY = "RAY_TMPDIR"  # where Ray puts its sessions, in place of TMPDIR
SHORT = Path("/tmp")


def quoted_interpreter() -> dict[str, str] | None:
    """A runtime environment with Python's path as a shell takes it; None where that is the path itself.

    Ray puts the path unquoted into a shell's line, by which no worker would start where it has a space in it.
    """
    quoted = shlex.quote(sys.executable)
    return {"py_executable": quoted} if quoted != sys.executable else None


def shorten_temporary_folder() -> None:
    """Have Ray use a shorter folder where the temporary one's name leaves its sockets no room.

    Raises UserError where there is none.
    """
    folder = os.environ.get(TEMPORARY) or tempfile.gettempdir()
    if len(os.fsencode(folder)) + RAYS_BYTES <= SOCKET_BYTES:
        return
    if TEMPORARY in os.environ or not os.access(SHORT, os.W_OK | os.X_OK):
        raise UserError(
            f"{TEMPORARY if TEMPORARY in os.environ else 'TMPDIR'}: {folder} is too long for Ray's sockets; set "
            f"{TEMPORARY} to a folder whose path has at most {SOCKET_BYTES - RAYS_BYTES} bytes"
        )
    os.environ[TEMPORARY] = str(SHORT)
