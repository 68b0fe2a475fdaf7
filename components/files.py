"""Files and folders that are whole or absent: written under a temporary name, renamed last."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ATTEMPTS = 5
KEPT = "kept"  # under the runs' folder: what stages made, by what it was made of
MANIFEST, MOST_KEPT = "manifest.json", 3


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes `target`'s place when the block ends well, else is deleted.

    There is a whole folder at each moment: the old one is renamed aside before the new one takes its place. A kill
    between the two leaves it there, from where `restore` brings it back.
    """
    restore(target)
    _delete_parts_of_the_dead(target)
    part = target.with_name(_part_name(target))
    part.mkdir(parents=True)
    try:
        yield part
        _put_in_place(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put_in_place(part: Path, target: Path) -> None:
    aside = _aside(target)
    for attempt in range(ATTEMPTS):
        try:
            if target.exists():
                shutil.rmtree(aside, ignore_errors=True)
                target.replace(aside)
            part.replace(target)
            break
        except OSError:  # another process put its own there just now
            if attempt == ATTEMPTS - 1:
                raise
    shutil.rmtree(aside, ignore_errors=True)


def restore(target: Path) -> None:
    """Bring back a folder that a kill left aside before the new one had taken its place."""
    aside = _aside(target)
    if aside.exists():
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.replace(target)


def write_whole(target: Path, text: str) -> None:
    """Write a text file, and the folder that it goes into if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _delete_parts_of_the_dead(target)
    part = target.with_name(_part_name(target))
    part.write_text(text, encoding="utf-8")
    part.replace(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _part_name(target: Path) -> str:
    """A process's own: another one, just orphaned, may still write the same folder."""
    return f".{target.name}.part-{os.getpid()}-{secrets.token_hex(4)}"


def _delete_parts_of_the_dead(target: Path) -> None:
    """The temporary files of processes that were killed while they wrote the same."""
    for part in target.parent.glob(f".{target.name}.part-*"):
        pid = part.name.split("-")[-2]
        if not pid.isdecimal() or psutil.pid_exists(int(pid)):
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def made_once(target: Path, kept: Path | None, key: str, make: Callable[[Path], None]) -> bool:
    """Write the folder `target` by `make`, or from what that left earlier under the same key; whether it was made anew.

    kept: a folder that has one of its own for each key; the ones used last stay. Its files are links to those of the
    target where the disk has such, so that they take no room of their own. What is damaged there is made anew. None:
    nothing is kept.
    """
    if kept is None:
        with whole_folder(target) as folder:
            make(folder)
        return True
    store = kept / key
    with whole_folder(target) as folder:
        anew = not _is_whole(store)
        if anew:
            make(folder)
            _keep(folder, store)
        else:
            _link(store, folder, json.loads((store / MANIFEST).read_text(encoding="utf-8")))
            os.utime(store)
    _forget(kept)
    return anew


def _is_whole(store: Path) -> bool:
    """Whether every file that was kept there is as it was."""
    try:
        manifest = json.loads((store / MANIFEST).read_text(encoding="utf-8"))
        return all(digest_of(store / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError):
        return False


def _keep(folder: Path, store: Path) -> None:
    """Keep what is in the folder, if there is room for it."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    manifest = {name: digest_of(folder / name) for name in names}
    with suppress(OSError), whole_folder(store) as part:
        _link(folder, part, manifest)
        (part / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _link(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            (target / name).hardlink_to(source / name)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source / name, target / name)


def _forget(kept: Path) -> None:
    stores = [each for each in kept.iterdir() if not each.name.startswith(".")] if kept.is_dir() else []
    for old in sorted(stores, key=lambda each: each.stat().st_mtime_ns, reverse=True)[MOST_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
