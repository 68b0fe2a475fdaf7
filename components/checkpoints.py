"""A training's checkpoints, on this machine or in a shared storage: which one to go on from, and when they may go.

<stage>/<key>/attempts/<attempt>/checkpoint_*/state.pt    written by Ray while an attempt trains
<stage>/<key>/finished.pt                                 the last state of a finished training
"""

from __future__ import annotations

import io
import os
import time
from fnmatch import fnmatch
from pathlib import Path

import torch

from components.loop import State
from components.storage import Location

STATE_FILE = "state.pt"
FINISHED = "finished.pt"
ATTEMPTS = "attempts"


def new_attempt(run: Location) -> Location:
    """The folder of another attempt at a run, which is not there yet.

    Its name is a new one: Ray continues by name from its own records, which a kill may leave half-written.
    """
    return run / ATTEMPTS / f"{time.time_ns()}-{os.getpid()}"


def load_state(file: Location) -> State:
    """A training's state. Raises an exception of torch's or pickle's if the file is not whole."""
    return _state(file.read())


def _state(content: bytes) -> State:
    state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def save_state(folder: Path, state: State) -> None:
    """Write a folder's one state, whole. Until then its name is this process's own: a killed one may still write."""
    part = folder / f".{STATE_FILE}.{os.getpid()}"
    torch.save(state, part)
    part.replace(folder / STATE_FILE)


def newest_state(run: Location) -> tuple[State, Location] | tuple[None, None]:
    """The state with the most epochs among a run's whole checkpoints, and its file.

    A checkpoint that a kill left half-written does not load; the one before it is still there. Raises UserError when
    the storage fails: what it holds is then not passed over.
    """
    names = [n for n in run.files() if n == FINISHED or fnmatch(n, f"{ATTEMPTS}/*/checkpoint_*/{STATE_FILE}")]
    found = [(state, run / name) for name in names if (state := _try_load(run / name)) is not None]
    if not found:
        return None, None
    return max(found, key=lambda pair: len(pair[0]["history"]))


def _try_load(file: Location) -> State | None:
    try:
        content = file.read()
    except FileNotFoundError:  # another attempt's, which was just deleted
        return None
    try:
        return _state(content)
    except Exception:  # torch, pickle and zipfile raise many kinds for a broken file
        return None


def keep_finished(run: Location, state: State) -> None:
    """Put the last state in the place of all checkpoints."""
    content = io.BytesIO()
    torch.save(state, content)
    (run / FINISHED).write(content.getbuffer())
    (run / ATTEMPTS).delete()


def forget_finished(stage: Location, but: str) -> list[str]:
    """Delete a stage's finished runs but one, and tell which: DVC may be killed before it has that one's model."""
    finished = [name.removesuffix(f"/{FINISHED}") for name in stage.files() if fnmatch(name, f"*/{FINISHED}")]
    old = [key for key in finished if key != but and "/" not in key]
    for key in old:
        (stage / key).delete()
    return old
