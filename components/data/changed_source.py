"""How to read a user's own files anew, told with each fault of the data that were copied from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.data.own_files import SUMMARY, path_here
from components.errors import UserError


@contextmanager
def told_how_to_read_anew(name: str, raw: Path) -> Iterator[None]:
    """Add to a UserError about a data set, whose download stage left `raw`, what to do once its files are mended.

    Nothing is added where they are not the user's own: those are not to be mended.
    """
    try:
        yield
    except UserError as error:
        place = _copied_from(raw)
        if place is None:
            raise
        raise UserError(
            f"{error}\nWhat was read is a copy of {place}. Once the files there are mended, `python -m flows.pipeline` "
            f"copies them anew by itself; for DVC alone: `dvc repro --force --single-item download@{name}`."
        ) from None


def _copied_from(raw: Path) -> Path | None:
    try:
        return path_here(json.loads((raw / SUMMARY).read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError):
        return None
