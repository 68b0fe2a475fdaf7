"""How many workers or trials a cluster holds, and what each of them gets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.errors import UserError

WORKERS_VARIABLE = "TRAINYARD_WORKERS"


@dataclass(frozen=True)
class Placement:
    """How many workers, and what each holds."""

    workers: int
    cpus: int
    gpus: int

    @property
    def resources(self) -> dict[str, float]:
        """Of one worker, as Ray names them."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def __str__(self) -> str:
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        cores = f"{self.cpus} CPU core{'s' if self.cpus > 1 else ''}"
        return f"{workers} with {'a GPU and ' if self.gpus else ''}{cores} each"


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and what each holds.

    workers: processes of a trial by Ray Train; 0: the trial trains in its own.
    """

    at_once: int
    cpus: float
    gpus: float
    workers: int = 0

    @property
    def place(self) -> Placement | None:
        """Where a trial's workers go; None if it has none."""
        return Placement(self.workers, int(self.cpus), int(self.gpus)) if self.workers else None

    def __str__(self) -> str:
        trials = f"{self.at_once} trial{'s' if self.at_once > 1 else ''} at once"
        each = f"{self.cpus:g} CPU core{'s' if self.cpus != 1 else ''}"
        each += f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{trials}, with {each} {f'for each of {self.workers} workers' if self.workers else 'each'}"


def is_asked_for(gpus: int) -> bool:
    """Whether a training takes a cluster: one to join, several workers, or several of this machine's GPUs."""
    count = _count(os.environ.get(WORKERS_VARIABLE))
    return bool(os.environ.get("RAY_ADDRESS")) or (gpus if count is None else count) > 1


def place(nodes: Sequence[Mapping[str, float]], asked: str | None) -> Placement:
    """The workers for nodes with these resources ({"CPU": 8, "GPU": 2}).

    One worker per GPU; without GPUs, one per node with all its cores. `asked`, the text of
    TRAINYARD_WORKERS, sets another number, and without GPUs each then gets as many cores as fit.
    Raises UserError when the nodes cannot hold that many.
    """
    count = _count(asked)
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if any(gpus):
        workers = count or sum(gpus)
        if workers > sum(gpus):
            raise _too_small(workers, "one GPU", f"{sum(gpus)} GPUs", nodes)
        # The node with the fewest cores per GPU decides, so that a worker fits on each.
        per_worker = max(1, min((c // g for c, g in zip(cpus, gpus, strict=True) if g), default=1))
        fitting = sum(min(g, c // per_worker) for c, g in zip(cpus, gpus, strict=True))
        if workers > fitting:
            raise _too_small(workers, "one GPU and one CPU core", f"cores for {fitting} of its GPUs", nodes)
        return Placement(workers, cpus=per_worker, gpus=1)
    with_cpus = [c for c in cpus if c]
    workers = count or len(with_cpus)
    for size in range(max(with_cpus, default=0), 0, -1):
        if sum(c // size for c in with_cpus) >= max(1, workers):
            return Placement(max(1, workers), cpus=size, gpus=0)
    raise _too_small(max(1, workers), "one CPU core", f"{sum(cpus)} cores", nodes)


def slots(nodes: Sequence[Mapping[str, float]], cpus: int | None, gpus: float | None, workers: int) -> Slots:
    """How many trials of a sweep run at once on nodes with these resources.

    cpus, gpus: of a trial, or of each of its workers; None: a GPU where there are any, with the cores that fall to it;
                else one core. A GPU can be shared: 0.25 puts four trials on each.
    workers:    of a trial by Ray Train; 0: it trains in one process.
    Raises UserError when not even one trial fits.
    """
    there = sum(node.get("GPU", 0) for node in nodes)
    gpus = (1.0 if there else 0.0) if gpus is None else gpus
    if cpus is None:
        shares = [node.get("CPU", 0) * gpus / node["GPU"] for node in nodes if node.get("GPU")] if gpus else []
        cpus = max(1, int(min(shares, default=1)))
    each = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
    fitting = sum(min(int(node.get(name, 0) / share + 1e-9) for name, share in each.items()) for node in nodes)
    at_once = fitting // max(1, workers)
    if not at_once:
        cores = sum(int(node.get("CPU", 0)) for node in nodes)
        raise UserError(
            f"a trial takes {max(1, workers)} x {cpus} CPU cores and {gpus:g} GPU, but the Ray cluster has nodes with "
            f"{cores} cores and {there:g} GPUs in all; lower --cpus, --gpus or --workers, or add nodes"
        )
    return Slots(at_once, cpus, gpus, workers)


def _count(asked: str | None) -> int | None:
    if asked is None:
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise UserError(f"{WORKERS_VARIABLE}: {asked!r} is not allowed: it takes an integer >= 1")
    return int(asked)


def _too_small(workers: int, each: str, there: str, nodes: Sequence[Mapping[str, float]]) -> UserError:
    return UserError(
        f"{WORKERS_VARIABLE}: {workers} workers with {each} each were asked for, but the Ray cluster has "
        f"{there} on {len(nodes)} node{'s' if len(nodes) != 1 else ''}; ask for fewer workers, or add nodes"
    )
