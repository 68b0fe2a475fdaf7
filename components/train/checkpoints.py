"""A training's checkpoints, on this machine or in a shared storage: which one to go on from, and when they may go.

<stage>/<key>/attempts/<attempt>/checkpoint_*/state.pt    written while an attempt trains
<stage>/<key>/finished.pt                                 the last state of a finished training

Each file is a line with the SHA-256 digest of what follows it, and then torch's bytes: torch itself checks no sums, and
would train on with a weight whose bits a disk has turned.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import psutil
import torch

from components.cluster.storage import Location
from components.errors import DamagedCheckpointError
from components.train.loop import State

STATE_FILE = "state.pt"
FINISHED = "finished.pt"
ATTEMPTS = "attempts"
DIGEST_BYTES = 65  # 64 hexadecimal digits and the line's end
SILENT_DAYS = 7  # after which an attempt of another machine, which wrote nothing since, is taken for dead


def new_attempt(run: Location) -> Location:
    """The folder of another attempt at a run, which is not there yet.

    Its name is a new one: Ray continues by name from its own records, which a kill may leave half-written. It says
    whose it is: other machines may try the same run in the same storage.
    """
    return run / ATTEMPTS / f"{time.time_ns()}-{os.getpid()}-{_here()}"


def _here() -> str:
    """This machine, as far as processes are known by their ids in it: a container is one of its own."""
    space = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}.{space.stat().st_ino}" if space.exists() else socket.gethostname()


def as_bytes(state: State) -> memoryview:
    """Read a checkpoint's file."""
    content = io.BytesIO(bytes(DIGEST_BYTES))
    content.seek(DIGEST_BYTES)
    torch.save(state, content)
    whole = content.getbuffer()
    whole[:DIGEST_BYTES] = _digest(whole[DIGEST_BYTES:])
    return whole


def _digest(saved: memoryview) -> bytes:
    return hashlib.sha256(saved).hexdigest().encode() + b"\n"


def load_state(file: Location) -> State:
    """A training's state. Raises DamagedCheckpointError if the file is not whole."""
    return _state(memoryview(file.read()), file)


def _state(content: memoryview, file: Location) -> State:
    digest, saved = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if _digest(saved) != digest:
        raise DamagedCheckpointError(f"{file}: the digest at its beginning is not that of what follows")
    state: State = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    return state


def save_state(folder: Path, state: State) -> None:
    """Write a folder's one state, whole. Until then its name is this process's own: a killed one may still write."""
    part = folder / f".{STATE_FILE}.{os.getpid()}"
    part.write_bytes(as_bytes(state))
    part.replace(folder / STATE_FILE)


class Attempt:
    """The newest checkpoint of an attempt in this process; each is written beside the epoch that follows it.

    As a context it waits at its end for what is still being written.
    """

    def __init__(self, folder: Location) -> None:
        self.folder = folder
        self.newest: Location | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def keep(self, state: State) -> None:
        """Raises OSError, or UserError of a storage, if this state or the one before it could not be written."""
        content = as_bytes(state)  # now: the next epoch changes the tensors
        self._wait()
        file = self.folder / f"checkpoint_{len(state['history']):06d}" / STATE_FILE
        self._writing = self._writer.submit(self._write, file, content)

    def _write(self, file: Location, content: memoryview) -> None:
        file.write(content)
        if self.newest:
            self.newest.parent.delete()
        self.newest = file

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()

    def end(self) -> Location:
        """The last state's file, once it is written. Raises as `keep` does."""
        self._wait()
        assert self.newest is not None, "an epoch was reported, so there is a checkpoint"
        return self.newest

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.shutdown()


def newest_state(run: Location) -> tuple[State, Location] | tuple[None, None]:
    """The state with the most epochs among a run's whole checkpoints, and its file.

    One that is damaged, or that a kill left half-written, is passed over, and said; the one before it is still there.
    Raises UserError when the storage fails: what it holds is then not passed over.
    """
    names = [n for n in run.files() if n == FINISHED or fnmatch(n, f"{ATTEMPTS}/*/checkpoint_*/{STATE_FILE}")]
    states = [(state, run / name) for name in names if (state := try_load(run / name)) is not None]
    if not states:
        return None, None
    return max(states, key=lambda pair: len(pair[0]["history"]))


def try_load(file: Location) -> State | None:
    """A training's state; None, with a line that says so, of a damaged file, and None of one that is not there."""
    try:
        return load_state(file)
    except FileNotFoundError:  # another attempt's, which was just deleted
        return None
    except DamagedCheckpointError as error:
        print(f"a damaged checkpoint is passed over: {error}", file=sys.stderr, flush=True)
        return None


def finish(run: Location, newest: Location) -> None:
    """Put the file of the last state in the place of all checkpoints but those of attempts that others still make."""
    newest.move(run / FINISHED)
    newest.parent.parent.delete()
    _delete_ended_attempts(run)


def keep_finished(run: Location, state: State) -> None:
    """As `finish`, with a state that no attempt at this run has left."""
    (run / FINISHED).write(as_bytes(state))
    _delete_ended_attempts(run)


def _delete_ended_attempts(run: Location) -> None:
    attempts = run / ATTEMPTS
    for name in {file.partition("/")[0] for file in attempts.files()}:
        if _has_ended(attempts / name):
            (attempts / name).delete()


def _has_ended(attempt: Location) -> bool:
    """Whether an attempt is this process's, a dead one's of this machine, or one that has long been silent."""
    began, _, owner = attempt.name.partition("-")
    pid, _, machine = owner.partition("-")
    if machine != _here() or not (began.isdecimal() and pid.isdecimal()):
        written = attempt.last_written()
        return written is not None and time.time() - written > SILENT_DAYS * 24 * 3600
    if int(pid) == os.getpid():
        return True
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(int(pid)).create_time() > int(began) / 1e9  # the id is another process's now
    return True


def forget_finished(stage: Location, but: str) -> list[str]:
    """Delete a stage's finished runs but one, and tell which: DVC may be killed before it has that one's model."""
    finished = [name.removesuffix(f"/{FINISHED}") for name in stage.files() if fnmatch(name, f"*/{FINISHED}")]
    old = [key for key in finished if key != but and "/" not in key]
    for key in old:
        _delete_ended_attempts(stage / key)
        if any(name != FINISHED for name in (stage / key).files()):  # somebody tries that run again
            (stage / key / FINISHED).delete()
        else:
            (stage / key).delete()
    return old
