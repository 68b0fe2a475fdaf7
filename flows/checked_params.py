"""params.yaml as components check it, in a process of theirs: once for the same text, since each time takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "params.yaml"


class ParamsError(RuntimeError):
    """A params.yaml is wrong; the text is what components.params says of it."""


@dataclass(frozen=True)
class Checked:
    """A params.yaml without fault.

    values: as nested as the file.
    small:  model → whether its training gains little from a second core.
    large:  the models on a backbone, whose preparation and evaluation take all cores.
    """

    values: Mapping[str, Any]
    small: Mapping[str, bool]
    large: Sequence[str]

    @property
    def paths(self) -> Mapping[str, str]:
        paths: Mapping[str, str] = self.values["paths"]
        return paths


class Checker:
    """Remembers the last file that it found without fault."""

    def __init__(self) -> None:
        self._last: tuple[bytes, Checked] | None = None

    def __call__(self, folder: Path) -> Checked:
        """Raises ParamsError in components' own words if the folder's params.yaml is wrong."""
        file = folder / FILE
        text = file.read_bytes() if file.is_file() else b""
        if self._last is None or self._last[0] != text:
            self._last = (text, _checked(folder))
        return self._last[1]


def _checked(folder: Path) -> Checked:
    command = [sys.executable, "-m", "components.params", "--json"]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ParamsError(done.stderr.strip().removeprefix("error: "))
    return Checked(**json.loads(done.stdout))


check = Checker()


def checked_or_exit(folder: Path) -> Checked:
    """As `check`, for a command: a fault ends it before Prefect starts."""
    try:
        return check(folder)
    except ParamsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
