"""One line per epoch on the terminal, from the progress file that Ray's controller writes."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

POLL_SECONDS = 0.1


class ProgressPrinter:
    """Prints what is appended to `file` while the `with` block runs, and the rest at its end."""

    def __init__(self, task: str, file: Path, epochs: int) -> None:
        self.task, self.file, self.epochs = task, file, epochs
        self.seconds: list[float] = []
        self.read = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> ProgressPrinter:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()
        self._print_new()

    def _follow(self) -> None:
        while not self.stop.wait(POLL_SECONDS):
            self._print_new()

    def _print_new(self) -> None:
        if not self.file.exists():
            return
        with self.file.open("rb") as opened:
            opened.seek(self.read)
            whole, end, _ = opened.read().rpartition(b"\n")
        self.read += len(whole) + len(end)
        for line in whole.splitlines():
            record = json.loads(line)
            if "lost" in record:
                print(
                    f"{self.task}: lost {lost_workers(record['lost'])}; back to the last epoch's checkpoint",
                    flush=True,
                )
            else:
                self.seconds.append(record["seconds"])
                print(epoch_line(self.task, record, self.epochs, self.seconds), flush=True)


def epoch_line(task: str, record: Mapping[str, Any], epochs: int, seconds: Sequence[float]) -> str:
    """ "cnn  epoch  3/10  loss 0.61  validation: loss 0.65  accuracy 0.81  9,800 examples/s  12 s left" """
    validation = {k.removeprefix("validation_"): v for k, v in record.items() if k.startswith("validation_")}
    measured = "  ".join(f"{k.replace('_', ' ')} {v:.4f}" for k, v in validation.items())
    values = [f"loss {record['loss']:.4f}", f"validation: {measured}"]
    done = record["epoch"]
    parts = [f"{task}  epoch {done:>{len(str(epochs))}}/{epochs}", *values]
    parts.append(f"{record['examples_per_second']:,.0f} examples/s")
    parts.append(f"{time_left(epochs - done, seconds)} left")
    return "  ".join(parts)


def time_left(epochs: int, seconds: Sequence[float]) -> str:
    """The time of `epochs` more epochs, going by those that took `seconds` each: "48 s", "1 min 05 s"."""
    left = math.ceil(epochs * sum(seconds) / max(1, len(seconds)))
    return f"{left} s" if left < 60 else f"{left // 60} min {left % 60:02d} s"


def lost_workers(lost: dict[str, str]) -> str:
    """ "worker 0 (its process died)" """
    return ", ".join(f"worker {rank} ({reason[:120]})" for rank, reason in lost.items())
