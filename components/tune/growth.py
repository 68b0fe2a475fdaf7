"""Grow search, the course notes' recipe for the number of neurons: the same in all layers, more until it overfits.

Widths double until the validation loss stops getting lower; then the steps around the best width are halved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from components.params.search_space import Grow, Values, widened
from components.tune.ledger import Trial, kept


@dataclass(frozen=True)
class Point:
    """A width and its losses, medians over the seeds: in training, of the last epoch; in validation, of the kept epoch.

    last: the last epoch's in validation. each: the kept epoch's of each seed.
    """

    width: int
    training: float
    validation: float
    last: float
    each: tuple[float, ...]


def curve(trials: Sequence[Trial], keys: Sequence[str], keep: str, seeds: int) -> list[Point]:
    """A point for each width that was trained to its end with each seed, from the narrowest to the widest."""
    by_width: dict[int, list[Trial]] = {}
    for trial in trials:
        if trial.outcome == "finished":
            by_width.setdefault(width_of(trial.values, keys), []).append(trial)
    return [_point(width, by_width[width], keep) for width in sorted(by_width) if len(by_width[width]) >= seeds]


def _point(width: int, trials: Sequence[Trial], keep: str) -> Point:
    each = tuple(float(kept(trial.epochs, keep)["validation_loss"]) for trial in trials)
    training = median(float(trial.epochs[-1]["loss"]) for trial in trials)
    last = median(float(trial.epochs[-1]["validation_loss"]) for trial in trials)
    return Point(width, training, median(each), last, each)


def width_of(values: Mapping[str, Any], keys: Sequence[str]) -> int:
    value = values[keys[0]]
    width: int = value[0] if isinstance(value, list | tuple) else value
    return width


def doublings(points: Sequence[Point], start: int) -> list[Point]:
    """Those of the first phase: start, twice that, and so on, as far as each is there."""
    by_width = {point.width: point for point in points}
    widths, width = [], start
    while width in by_width:
        widths.append(by_width[width])
        width *= 2
    return widths


def ceiling(points: Sequence[Point], grow: Grow) -> int | None:
    """How many doublings it took until `patience` of them in a row were no better; None if they all may go on."""
    best, since = float("inf"), 0
    for count, point in enumerate(points, start=1):
        if point.validation < best * (1 - grow.tolerance):
            best, since = point.validation, 0
        else:
            since += 1
        if since >= grow.patience:
            return count
    return None


def chosen(points: Sequence[Point], tolerance: float) -> Point:
    """The narrowest whose validation loss is within the tolerance of the lowest: the knee of the curve."""
    lowest = min(point.validation for point in points)
    return next(point for point in points if point.validation <= lowest * (1 + tolerance))


def finding(points: Sequence[Point], grow: Grow) -> str:
    """The finding of the curve, in a sentence or two."""
    knee = chosen(points, grow.tolerance)
    wider = [point for point in points if point.width > knee.width]
    if not wider:
        return f"{knee.width} is the best of the widths tried, and the widest: raise grow.limit to see more."
    said = f"{knee.width} is enough: no width tried has a validation loss that is lower by {grow.tolerance:.0%}."
    learned = min(wider, key=lambda point: point.training)
    if learned.training < knee.training * (1 - grow.tolerance):
        return (
            f"{said} Wider ones overfit: from {knee.width} to {learned.width} the training loss still falls, from "
            f"{knee.training:.4f} to {learned.training:.4f}, and the validation loss does not."
        )
    return f"{said} Wider ones are no better in training either."


class Widths:
    """Proposals (see proposals.Proposals) of a grow search: each width with several seeds, since one may be lucky.

    Where several trials run at once, the next doubling is proposed before the last one has ended.
    """

    def __init__(self, grow: Grow, base: Mapping[str, Any], keys: tuple[str, ...], keep: str) -> None:
        self.grow, self.base, self.keys, self.keep = grow, base, keys, keep
        self.begun: Counter[int] = Counter()  # width → seeds
        self.running: Counter[int] = Counter()
        self.failed: set[int] = set()
        self.done: list[Trial] = []
        self.all_proposed = False

    def propose(self, number: int) -> Values | None:
        width = self._next()
        if width is None:
            self.all_proposed = not self.running.total()
            return None
        seed = self.base["seed"] + self.begun[width]
        self._begin(width)
        return {**widened(self.base, self.keys, width), "seed": seed}

    def going_on(self, trial: Trial) -> None:
        self._begin(width_of(trial.values, self.keys))

    def ended(self, trial: Trial) -> None:
        width = width_of(trial.values, self.keys)
        if self.running[width]:
            self.running[width] -= 1
        else:
            self.begun[width] += 1
        if trial.outcome == "finished":
            self.done.append(trial)
        else:
            self.failed.add(width)

    def _begin(self, width: int) -> None:
        self.begun[width] += 1
        self.running[width] += 1

    def _next(self) -> int | None:
        """The next width that lacks a seed; None while that depends on what runs, and at the end."""
        points = curve(self.done, self.keys, self.keep, self.grow.seeds)
        if not self.failed and ceiling(doublings(points, self.grow.start), self.grow) is None:
            for width in _doubled(self.grow):
                if self.begun[width] < self.grow.seeds:
                    ahead = [other for other in self.running if self.running[other] and other < width]
                    return width if len(ahead) < 2 else None
        if any(self.running[width] for width in _doubled(self.grow)):
            return None  # until they end, the best is not known
        wanted = refinements(points, self.grow)
        return next((w for w in wanted if self.begun[w] < self.grow.seeds and w not in self.failed), None)


def _doubled(grow: Grow) -> list[int]:
    widths = [grow.start]
    while widths[-1] * 2 <= grow.limit:
        widths.append(widths[-1] * 2)
    return widths


def refinements(points: Sequence[Point], grow: Grow) -> list[int]:
    """The widths half-way from the best to its neighbours; and, once they are there, so on, as often as asked."""
    there = {point.width: point for point in points}
    known = {point.width: point for point in doublings(points, grow.start)}
    wanted: list[int] = []
    for _ in range(grow.refine if known else 0):
        best = min(known.values(), key=lambda point: point.validation).width
        widths = sorted(known)
        place = widths.index(best)
        beside = widths[max(0, place - 1) : place] + widths[place + 1 : place + 2]
        wanted += [middle for other in beside if (middle := (best + other) // 2) not in widths]
        if not all(width in there for width in wanted):
            break
        known |= {width: there[width] for width in wanted}
    return wanted
