"""Every exception of this tool's own. Imports nothing, so that any module may raise one.

UserError                   a user can mend it: its text is the whole message, and a command exits with 2
    ParamsError             everything that is wrong with a params.yaml
    FetchError              a file could not be had
    IdxError                a file is not the IDX file that its name says
TrainingError               workers failed, and trying again did not help: a command exits with 1
DataError                   one file among many is at fault; who reads them all counts it, or tells the user
    AnnotationError         an XML file is no annotation
    ArchiveError            an archive has a member that is not unpacked
    OddNameError            a name is no text
DamagedCheckpointError      a checkpoint is not what a training wrote; an older one is taken
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class UserError(ValueError):
    """A fault that the user can mend; its text is the whole message."""


class ParamsError(UserError):
    """Everything that is wrong with a params.yaml, in one text."""

    def __init__(self, file: Path, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"{file}: {count}; nothing was started.", *(f"  - {f}" for f in self.faults)]))


class FetchError(UserError):
    """A file could not be had, and why."""


class IdxError(UserError):
    """A file that is not what its name says, and why."""


class TrainingError(RuntimeError):
    """A training failed, and trying again did not help or is the user's to do."""


class DataError(ValueError):
    """One file among many is at fault, and why."""


class AnnotationError(DataError):
    """An XML file that is no annotation, and why."""


class ArchiveError(DataError):
    """An archive with a member that is not unpacked, and why."""


class OddNameError(DataError):
    """A file's or folder's name that is no text: DVC cannot take it into its cache, nor does it say which it is."""


class DamagedCheckpointError(ValueError):
    """A file that is not what a training has written."""
