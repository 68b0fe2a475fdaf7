"""Files and folders that are whole or absent: written under a temporary name, renamed last."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ATTEMPTS = 5


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


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
