"""dvc.lock as lines: the blocks of stages taken out, or given another name. All else stays as it is, to the byte."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from components.entries.names import REFERENCES
from components.files import write_whole
from components.params.params import Paths

LOCK = Path("dvc.lock")
HEADER = re.compile(r"^  (\S+):$")


def without(stages: Collection[str], lock: Path = LOCK) -> None:
    """Take stages out, such as train@cnn, if they stand there."""
    if lock.exists():
        head, blocks = _blocks(lock)
        write_whole(lock, head + "".join(text for stage, text in blocks.items() if stage not in stages))


def renamed(old: str, new: str, paths: Paths, lock: Path = LOCK) -> None:
    """Give an entry another name: in its stages, their commands, paths and values, and where others' values name it."""
    if not lock.exists():
        return
    folders = "|".join(re.escape(path) for path in paths.model_dump().values())
    own = re.escape(old)
    patterns = (
        rf"^(  \w+@){own}(:)$",  # a stage
        rf"^(    cmd: .* ){own}()$",
        rf"^(    - path: (?:{folders})(?:/[a-z]+)?/){own}((?:\.json|\.csv)?)$",
        rf"^(      (?:  )?\w+\.){own}((?:\.\w+)*:.*)$",  # a value of params.yaml, such as models.cnn
        rf"^( {{8,}}(?:{'|'.join(REFERENCES)}): ){own}()$",
    )
    lines = lock.read_text(encoding="utf-8").split("\n")
    for pattern in patterns:
        lines = [re.sub(pattern, rf"\g<1>{new}\g<2>", line) for line in lines]
    write_whole(lock, "\n".join(lines))


def _blocks(lock: Path) -> tuple[str, Mapping[str, str]]:
    """(what stands before the first stage, stage → its lines)."""
    blocks: dict[str, list[str]] = {}
    head: list[str] = []
    lines: Sequence[str] = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    for line in lines:
        if header := HEADER.match(line.rstrip("\n")):
            blocks[header[1]] = []
        (blocks[[*blocks][-1]] if blocks else head).append(line)
    return "".join(head), {stage: "".join(own) for stage, own in blocks.items()}
