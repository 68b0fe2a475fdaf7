"""The user's own files, which the download stage copies."""

from __future__ import annotations

import json
import os
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.errors import OddNameError

SUMMARY = "source.json"  # the download stage's


def path_here(place: str) -> Path | None:
    """The absolute path that a source's text means; None for another kind of URL, and where nothing is there."""
    parts = urllib.parse.urlsplit(place)
    if parts.scheme == "file":
        path = Path(urllib.request.url2pathname(parts.path))
    elif parts.scheme in ("http", "https", "ftp"):
        return None
    else:
        path = Path(place).expanduser()
    try:
        return path.resolve() if path.exists() else None
    except OSError:  # a name that is too long
        return None


def tree(top: Path) -> Iterator[tuple[str, Path]]:
    """(its name from there, its path) of each visible file below a folder, through links, in no circle; or a file's."""
    if top.is_file():
        yield top.name, top
        return
    for path, is_folder in _walk(top, frozenset()):
        if not is_folder:
            yield path.relative_to(top).as_posix(), path


def _walk(folder: Path, above: frozenset[str]) -> Iterator[tuple[Path, bool]]:
    """(path, whether it is a folder) of all that is visible below a folder, but for a link to one of those above it.

    What is hidden is nobody's example: .DS_Store comes and goes as one looks at a folder.
    """
    here = above | {os.path.realpath(folder)}
    for path in sorted(each for each in folder.iterdir() if not each.name.startswith(".")):
        if not path.is_dir():
            yield path, False
        elif os.path.realpath(path) not in here:
            yield path, True
            yield from _walk(path, here)


def copy_tree(top: Path, folder: Path) -> None:
    """Copy all files and folders below a folder into another one. Raises OddNameError before anything is copied.

    Without their permissions: a copy of what nobody may write to can be changed and deleted.
    """
    files = [*tree(top)]
    check_names(name for name, _ in files)
    for path, is_folder in _walk(top, frozenset()):
        if is_folder:
            (folder / path.relative_to(top)).mkdir(parents=True, exist_ok=True)
    for name, path in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)


def check_names(names: Iterable[str]) -> None:
    """Raises OddNameError for a name that is no UTF-8."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = name.encode("utf-8", "surrogateescape").decode("latin-1")
            raise OddNameError(f"the name {shown!r} is not UTF-8; rename that file or folder") from None


def empty_folders(raw: Path) -> list[str]:
    """The visible folders that were empty when the download stage had left a data set's files, by its summary."""
    summary = raw / SUMMARY
    names: list[str] = (
        json.loads(summary.read_text(encoding="utf-8")).get("empty_folders", []) if summary.exists() else []
    )
    return names
