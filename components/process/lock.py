"""One process at a time for one piece of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_one(file: Path, name: str) -> Iterator[None]:
    """Hold the lock of a piece of work. One whose process died is free; a living one is waited for."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{name}: another process trains exactly this; waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
