"""Work beside the run, that never holds it up: what is told to a server which may have gone away."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress

LAST_SECONDS = 5.0  # what the last report of a stage, or of a run, may take


def within(seconds: float, work: Callable[[], None]) -> None:
    """Do some work, but go on without its end after these seconds; its faults are no concern of the caller's."""
    context = contextvars.copy_context()

    def done() -> None:
        with suppress(Exception):
            context.run(work)

    thread = threading.Thread(target=done, name="told beside the run", daemon=True)
    thread.start()
    thread.join(seconds)


class Newest:
    """Does the newest piece of work that it was given, one at a time; older ones that waited are dropped."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._changed = threading.Condition()
        self._next: Callable[[], None] | None = None
        self._ending = False
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Returns at once."""
        with self._changed:
            self._next = work
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._context.run, args=(self._work,), daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Wait for what is done now and what waits, but not for long."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(LAST_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._next is None and not self._ending:
                    self._changed.wait()
                work, self._next = self._next, None
            if work is None:
                return
            with suppress(Exception):  # a server that is away for long is no reason to stop a training
                work()
