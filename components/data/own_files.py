"""The user's own files, which the download stage copies, and whether they changed since.

    python -m components.data.own_files .runs RAW '{"flowers": "/photos"}'

prints, of data sets and their sources, the folders and files here that changed: {"flowers": "/photos"}.

DVC watches no file outside the pipeline. So each copy leaves a record of names, sizes and times in the scratch folder,
by which a run notices that it has to be made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.errors import OddNameError

SUMMARY = "source.json"  # the download stage's
FOLDER = "sources"  # in the scratch folder
Record = dict[str, list[int]]  # a file's name below the source → its bytes, and when it was last changed (ns)


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
    """Every file below a folder, through links but in no circle: (its name from there, its path). Or a file itself."""
    if top.is_file():
        yield top.name, top
        return
    for path, is_folder in _walk(top, frozenset()):
        if not is_folder:
            yield path.relative_to(top).as_posix(), path


def _walk(folder: Path, above: frozenset[str]) -> Iterator[tuple[Path, bool]]:
    """(path, whether it is a folder) of all below a folder, but for a link to one of those above it."""
    here = above | {os.path.realpath(folder)}
    for path in sorted(folder.iterdir()):
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
    for name, _ in files:
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = name.encode("utf-8", "surrogateescape").decode("latin-1")
            raise OddNameError(f"the name {shown!r} is not UTF-8; rename that file or folder") from None
    for path, is_folder in _walk(top, frozenset()):
        if is_folder:
            (folder / path.relative_to(top)).mkdir(parents=True, exist_ok=True)
    for name, path in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)


def record_of(top: Path) -> Record:
    stamps = {}
    for name, path in tree(top):
        status = path.stat()
        stamps[os.fsencode(name).decode("utf-8", "backslashreplace")] = [status.st_size, status.st_mtime_ns]
    return stamps


def empty_folders(raw: Path) -> list[str]:
    """The visible folders that were empty when the download stage had left a data set's files, by its summary."""
    summary = raw / SUMMARY
    names: list[str] = (
        json.loads(summary.read_text(encoding="utf-8")).get("empty_folders", []) if summary.exists() else []
    )
    return names


def keep_record(scratch: Path, dataset: str, top: Path, record: Record, raw: Path) -> None:
    """Leave what was there when a copy began, and which copy that is: the folder `raw`."""
    file = _file(scratch, dataset, top)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(json.dumps({"files": record, "copy": _digest_of(raw)}), encoding="utf-8")
    part.replace(file)


def changed(scratch: Path, raws: Path, sources: Mapping[str, str]) -> dict[str, str]:
    """Of data sets and their sources those whose files here are other ones than were last copied.

    raws: the folder of all data sets' copies. A copy that is not the one of the record, since DVC took an older one
          from its cache, is not of these files either.
    Nothing is said of what was never copied here, nor of what is gone since: the copy is all there is of that.
    """
    changed = {}
    for dataset, place in sources.items():
        top = path_here(place)
        file = _file(scratch, dataset, top) if top else None
        if top and file and file.exists():
            try:
                kept = json.loads(file.read_text(encoding="utf-8"))
                copy = _digest_of(raws / dataset)
                same = kept["files"] == record_of(top) and copy in (None, kept["copy"])
            except (OSError, ValueError, KeyError):  # a broken link, or a broken record: made anew, or told of there
                same = False
            if not same:
                changed[dataset] = str(top)
    return changed


def _digest_of(raw: Path) -> str | None:
    """Of what the summary of a copy says of its files; None where there is no copy."""
    summary = raw / SUMMARY
    return hashlib.sha256(summary.read_bytes()).hexdigest() if summary.exists() else None


def _file(scratch: Path, dataset: str, top: Path) -> Path:
    return scratch / FOLDER / f"{dataset}-{hashlib.sha256(os.fsencode(top)).hexdigest()[:16]}.json"


if __name__ == "__main__":
    print(json.dumps(changed(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))))
