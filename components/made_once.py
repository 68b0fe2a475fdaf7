"""Outputs that are made once for what they are made of: a stage runs again for any change of its entry in params.yaml.

A note says which files were made under a key; DVC's cache has the files themselves, so that nothing is kept twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from components.files import whole_folder, write_whole

NOTES = "made"  # under the runs' folder
MOST = 50
CHUNK_BYTES = 1 << 20
Manifest = Mapping[str, str]  # a file's name → its MD5, by which DVC's cache has it


def made_once(target: Path, notes: Path | None, key: str, make: Callable[[Path], None]) -> bool:
    """Write the folder `target` by `make`, or with the files that it made earlier under the same key.

    notes: a folder for notes of what was made; None: nothing is looked up.
    Returns whether it was made anew. Of what DVC's cache no longer has, or has damaged, all is made anew.
    """
    note = notes / f"{key}.json" if notes else None
    if note and (manifest := _read(note)) is not None:
        with suppress(LookupError, OSError), whole_folder(target) as folder:
            _bring(manifest, cache_folder(), folder)
            os.utime(note)
            return False
    with whole_folder(target) as folder:
        make(folder)
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        made = {file.relative_to(folder).as_posix(): _md5(file) for file in files} if note else {}
    if note:
        write_whole(note, json.dumps(made, indent=1) + "\n")
        _forget(note.parent)
    return True


def cache_folder() -> Path:
    """DVC's cache. Raises LookupError where DVC does not tell."""
    done = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], text=True, capture_output=True, check=False)
    if done.returncode:
        raise LookupError(done.stderr.strip())
    return Path(done.stdout.strip())


def _bring(manifest: Manifest, cache: Path, folder: Path) -> None:
    """Copy files out of the cache. Raises LookupError or OSError for one that is not there as it was."""
    for name, digest in manifest.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copied = hashlib.md5(usedforsecurity=False)
        with (cache / "files/md5" / digest[:2] / digest[2:]).open("rb") as source, (folder / name).open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                copied.update(chunk)
                file.write(chunk)
        if copied.hexdigest() != digest:
            raise LookupError(f"{name} is damaged in {cache}")


def _read(note: Path) -> Manifest | None:
    try:
        manifest = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _md5(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _forget(notes: Path) -> None:
    """Delete all notes but those used last."""
    with suppress(OSError):
        for old in sorted(notes.glob("*.json"), key=lambda each: each.stat().st_mtime_ns, reverse=True)[MOST:]:
            old.unlink(missing_ok=True)
