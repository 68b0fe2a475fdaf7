"""Remembers a params.yaml without fault, so that a run's stages need not check it whole again, each in seconds.

The scratch folder keeps a digest of the file and of the code that judges it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydantic

from components.files import write_whole

NAME = "params.json"
CODE = Path(__file__).resolve().parents[1]


def digest_of(text: str) -> str:
    """Of a params.yaml's text, of pydantic's version and of all code here, which may declare its sections."""
    digest = hashlib.sha256(f"{pydantic.VERSION}\n{text}".encode())
    for file in sorted(CODE.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_verified(digest: str, runs: Path) -> bool:
    """Whether the file of this digest was without fault."""
    return _record(runs).get("digest") == digest


def told(digest: str, runs: Path) -> Mapping[str, Any] | None:
    """Return what was remembered with the file of this digest, if it was."""
    record = _record(runs)
    return record["told"] if record.get("digest") == digest else None


def remember(digest: str, runs: Path, told: Mapping[str, Any]) -> None:
    """Note that the file of this digest is without fault, if that can be written."""
    with suppress(OSError):
        write_whole(runs / NAME, json.dumps({"digest": digest, "told": told}))


def _record(runs: Path) -> Mapping[str, Any]:
    try:
        remembered = json.loads((runs / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return remembered if isinstance(remembered, dict) else {}
