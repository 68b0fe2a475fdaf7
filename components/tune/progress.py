"""Terminal lines of a running sweep: a line for each ended trial, or one line that is written anew on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from components.models.task import Goal
from components.train.progress import time_left
from components.tune.ledger import Trial, measured


class SweepProgress:
    """Told of each ended trial; `total` is how many there will be, if that is known."""

    def __init__(
        self, name: str, goal: Goal, keep: str, epochs: int, total: int | None, before: Sequence[Trial]
    ) -> None:
        self.name, self.goal, self.keep, self.epochs, self.total = name, goal, keep, epochs, total
        self.ended = list(before)
        self.started, self.before = time.monotonic(), len(before)
        self.live = sys.stdout.isatty()

    def __call__(self, trial: Trial, running: int) -> None:
        self.ended.append(trial)
        if self.live:
            print(f"\r\033[K{self.name}  {self._state(running)}", end="", flush=True)
        else:
            print(f"{self.name}  {self._told(trial)}  |  {self._state(running)}", flush=True)

    def close(self) -> None:
        if self.live:
            print(flush=True)

    def _told(self, trial: Trial) -> str:
        if trial.outcome == "failed":
            return f"trial {trial.number} failed: {trial.reason}"
        reached = f"{self.goal.metric.replace('_', ' ')} {measured(trial.epochs, self.keep, self.goal):.4f}"
        after = f" after {len(trial.epochs)} of {self.epochs} epochs" if trial.outcome == "stopped" else ""
        return f"trial {trial.number}: {reached}, {trial.outcome}{after}"

    def _state(self, running: int) -> str:
        """ "12 of 50 ended, 2 running, 4 stopped early, 1 failed, best accuracy 0.9510 (trial 7), 48 s left" """
        count = {kind: sum(trial.outcome == kind for trial in self.ended) for kind in ("stopped", "failed")}
        parts = [f"{len(self.ended)}{f' of {self.total}' if self.total else ''} ended", f"{running} running"]
        parts += [f"{count['stopped']} stopped early"] if count["stopped"] else []
        parts += [f"{count['failed']} failed"] if count["failed"] else []
        finished = [trial for trial in self.ended if trial.outcome == "finished"]
        if finished:
            best = max(finished, key=lambda trial: self.goal.sign * measured(trial.epochs, self.keep, self.goal))
            reached = measured(best.epochs, self.keep, self.goal)
            parts.append(f"best {self.goal.metric.replace('_', ' ')} {reached:.4f} (trial {best.number})")
        here = len(self.ended) - self.before
        if self.total and here:
            each = (time.monotonic() - self.started) / here
            parts.append(f"{time_left(max(0, self.total - len(self.ended)), [each])} left")
        return ", ".join(parts)
