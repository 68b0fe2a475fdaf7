"""Oddities of a data set's files, counted as they are read, and how much of them is too much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypedDict

from components.errors import UserError

NAMES_KEPT = 100
NAMES_SHOWN = 3
REASONS_SHOWN = 5


class Finding(TypedDict):
    """One kind of oddity, as split.json holds it.

    count: how often it was found (a file may have several boxes of that kind).
    files: the first names, sorted, at most 100.
    kept:  whether what was found (an image, an object, a box) is in the arrays all the same.
    """

    count: int
    files: list[str]
    kept: bool


class Findings:
    """Oddities by kind, and the files that cannot be read, with the reasons."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, bool], list[str]] = {}
        self._earlier: dict[str, Finding] = {}
        self._reasons: dict[str, str] = {}

    @classmethod
    def of_summary(cls, summary: Mapping[str, Finding]) -> Findings:
        """Those that an earlier stage has summed up."""
        own = cls()
        own._earlier = dict(summary)
        return own

    def __bool__(self) -> bool:
        return bool(self._files or self._earlier)

    def add(self, kind: str, file: str, kept: bool) -> None:
        """Count one oddity of a file. `kept` is the same for all of a kind."""
        self._files.setdefault((kind, kept), []).append(file)

    def bad(self, kind: str, file: str, reason: str) -> None:
        """Count a file that cannot be read and is skipped, once however often it is told."""
        if file not in self._reasons:
            self._reasons[file] = reason
            self.add(kind, file, kept=False)

    def reason(self, file: str) -> str:
        """A file and why it cannot be read."""
        return f"{file}: {self._reasons[file]}"

    def check(self, total: int, tolerated: float, key: str, fault: str = "files cannot be read") -> None:
        """Raise UserError when more than the tolerated fraction of `total` files (or rows) cannot be read (or used).

        key: the path of the tolerated fraction in params.yaml, for the message.
        """
        count = len(self._reasons)
        if count <= tolerated * total:
            return
        shown = [self.reason(file) for file in sorted(self._reasons)[:REASONS_SHOWN]]
        shown += ["..."] if count > REASONS_SHOWN else []
        raise UserError(
            "\n    ".join([f"{key}: {count} of {total} {fault}, which is more than {tolerated:g}:", *shown])
            + f"\nMend or delete them, or raise {key}."
        )

    def summary(self) -> dict[str, Finding]:
        """Kind → what split.json says of it, the kinds in alphabetical order."""
        return self._earlier | {
            kind: {"count": len(files), "files": sorted(set(files))[:NAMES_KEPT], "kept": kept}
            for (kind, kept), files in sorted(self._files.items())
        }

    def lines(self) -> Iterator[str]:
        """One short line for each kind."""
        for kind, finding in self.summary().items():
            names = ", ".join(finding["files"][:NAMES_SHOWN])
            more = ", ..." if len(finding["files"]) > NAMES_SHOWN else ""
            yield f"{finding['count']} x {kind} ({'kept' if finding['kept'] else 'left out'}): {names}{more}"
