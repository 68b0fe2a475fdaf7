"""The sources of the data: what DVC would stumble over in them, told in a sentence before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

LOCK = "dvc.lock"
SHOWN = 3


class SourceError(RuntimeError):
    """A source cannot be read; the text names the entry, the file, and the way out."""


def check(folder: Path, data: Mapping[str, Any], log: Callable[[str], None]) -> set[str]:
    """The download stages to leave as they are: their sources are gone, and what they brought earlier is in use.

    data: the entries of params.yaml that a run needs.
    Raises SourceError for a source that is absent and was never read, and for files in it that DVC cannot watch.
    """
    left = set()
    for name, own in data.items():
        source = folder / own["source"]
        if source.exists():
            if odd := [*_odd(source)]:
                more = f", and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
                raise SourceError(
                    f"data.{name}.source: {source} has {', '.join(odd[:SHOWN])}{more}; rename or delete these"
                )
        elif _was_read(folder, name):
            log(f"data.{name}.source: {own['source']} is not there; what was read of it before is used")
            left.add(f"download@{name}")
        else:
            raise SourceError(
                f"data.{name}.source: {own['source']}: there is no such file or folder; a path is read from the "
                f"project's folder, and ~ is not"
            )
    return left


def _odd(source: Path) -> Iterator[str]:
    """What DVC cannot read: links that lead nowhere or in a circle, and names that are no UTF-8."""
    if not source.is_dir():
        return
    for top, folders, files in os.walk(source, followlinks=True):
        for name in (*folders, *files):
            path = Path(top, name)
            try:
                name.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(name).decode("latin-1")
                yield f"a name that is not UTF-8 ({shown!r})"
                continue
            if path.is_symlink() and Path(os.path.realpath(top)).is_relative_to(os.path.realpath(path)):
                yield f"a link that leads in a circle ({path.relative_to(source)})"
                folders.remove(name)
            elif path.is_symlink() and not path.exists():
                yield f"a link that leads nowhere ({path.relative_to(source)})"


def _was_read(folder: Path, name: str) -> bool:
    lock = folder / LOCK
    return lock.is_file() and f"\n  download@{name}:" in lock.read_text(encoding="utf-8")
