"""The plan of a run: `python -m flows.pipeline --plan`. Nothing is started but the reading of the code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from flows.graph import Graph, in_order, may_change, reasons

TRAINING = "train"  # the group of stages that share a Ray head
SHOWN = 3


def plan(
    graph: Graph,
    repo: Path,
    seconds: Mapping[str, float],
    at_once: int,
) -> str:
    """The stages that would run, each with its reason and the time that it took when it last ran.

    seconds: stage → its last time here; at_once: how many stages run side by side.
    """
    why = {stage: reason for stage, reason in reasons(repo).items() if stage in graph}
    asked = may_change(graph, why.keys())
    if not asked:
        return f"Nothing to do: all {len(graph)} stages are up to date."
    rows = []
    for stage in in_order(graph):
        if stage in asked:
            after = [above for above in graph[stage] if above in asked]
            reason = _shortened([*why.get(stage, []), *([f"after {_shortened(after, ', ')}"] if after else [])])
            rows.append((stage, _took(seconds.get(stage)), reason))
    width = max(len(row[0]) for row in rows)
    lines = [f"{stage:<{width}}  {took:>9}  {reason}" for stage, took, reason in rows]
    unknown = [stage for stage in asked if stage not in seconds]
    about = f"about {_took(estimate(graph, asked, seconds, at_once)).strip()} by their last times"
    if unknown:
        about += f", and {len(unknown)} of which no time is known"
    lines.append(
        f"{len(asked)} of {len(graph)} stages would run, or come from DVC's cache, {at_once} side by side: {about}"
    )
    if trains(asked):
        lines.append(_where(repo))
    return "\n".join(lines)


def trains(stages: Collection[str]) -> bool:
    """Whether one of them trains, on Ray."""
    return any(stage.partition("@")[0] == TRAINING for stage in stages)


def estimate(graph: Graph, asked: Collection[str], seconds: Mapping[str, float], at_once: int) -> float:
    """The wall time of the asked stages in seconds: each begins when what it waits for is done and a place is free."""
    places, ends = [0.0] * at_once, dict[str, float]()
    for stage in in_order(graph):
        if stage in asked:
            free = min(range(at_once), key=lambda place: places[place])
            begin = max([places[free], *(ends.get(above, 0.0) for above in graph[stage])])
            ends[stage] = places[free] = begin + seconds.get(stage, 0.0)
    return max(ends.values(), default=0.0)


def _shortened(parts: Sequence[str], between: str = "; ") -> str:
    more = len(parts) - SHOWN
    return between.join([*parts[:SHOWN], *([f"and {more} more"] if more > 0 else [])])


def _took(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds:.0f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _where(repo: Path) -> str:
    """Where workers would go, as components.cluster tells."""
    command = [sys.executable, "-m", "components.cluster", "--plan"]
    done = subprocess.run(command, cwd=repo, text=True, capture_output=True, check=False)
    return (done.stdout if done.returncode == 0 else done.stderr).rstrip()
