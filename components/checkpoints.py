"""A training's checkpoints under .runs/: where they are, which one to go on from, and when they may go.

<run>/attempts/<attempt>/checkpoint_*/state.pt    written by Ray while an attempt trains
<run>/finished.pt                                 the last state of a finished training
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from components.loop import State

STATE_FILE = "state.pt"
FINISHED = "finished.pt"


def attempts(run: Path) -> Path:
    """The folder of a run's attempts: a new one after each kill."""
    return run / "attempts"


def load_state(file: Path) -> State:
    """A training's state. Raises an exception of torch's or pickle's if the file is not whole."""
    state: State = torch.load(file, map_location="cpu", weights_only=True)
    return state


def save_state(folder: Path, state: State) -> None:
    """Write a folder's one state, whole. Until then its name is this process's own: a killed one may still write."""
    part = folder / f".{STATE_FILE}.{os.getpid()}"
    torch.save(state, part)
    part.replace(folder / STATE_FILE)


def newest_state(run: Path) -> tuple[State, Path] | tuple[None, None]:
    """The state with the most epochs among a run's whole checkpoints, and its file.

    A checkpoint that a kill left half-written does not load; the one before it is still there.
    """
    files = [run / FINISHED, *attempts(run).glob(f"*/checkpoint_*/{STATE_FILE}")]
    found = [(state, file) for file in files if (state := _try_load(file)) is not None]
    if not found:
        return None, None
    return max(found, key=lambda pair: len(pair[0]["history"]))


def _try_load(file: Path) -> State | None:
    try:
        return load_state(file)
    except Exception:  # torch, pickle and zipfile raise many kinds for a broken file
        return None


def keep_finished(run: Path, state: State) -> None:
    """Put the last state in the place of all checkpoints."""
    part = run / f".{FINISHED}.part"
    torch.save(state, part)
    part.replace(run / FINISHED)
    shutil.rmtree(attempts(run), ignore_errors=True)


def forget_finished(runs: Path, but: Path) -> None:
    """Delete the finished runs but one: DVC may still be killed before it has that one's model."""
    for finished in runs.glob(f"*/{FINISHED}"):
        if finished.parent.name != but.name:
            shutil.rmtree(finished.parent, ignore_errors=True)
            finished.parent.with_suffix(".lock").unlink(missing_ok=True)
