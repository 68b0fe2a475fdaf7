"""Remembers a params.yaml without fault, so that a run's stages need not check it whole again, each in seconds.

The scratch folder keeps a digest of the file and of the code that judges it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import pydantic

from components.files import write_whole

NAME = "params.verified"
CODE = Path(__file__).resolve().parent


def digest_of(text: str) -> str:
    """Of a params.yaml's text, of pydantic's version and of all code here, which may declare its sections."""
    found = hashlib.sha256(f"{pydantic.VERSION}\n{text}".encode())
    for file in sorted(CODE.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()


def is_verified(digest: str, runs: Path) -> bool:
    """Whether the file of this digest was without fault."""
    try:
        return (runs / NAME).read_text(encoding="utf-8") == digest
    except (OSError, ValueError):
        return False


def remember(digest: str, runs: Path) -> None:
    """Note that the file of this digest is without fault, if that can be written."""
    with suppress(OSError):
        write_whole(runs / NAME, digest)
