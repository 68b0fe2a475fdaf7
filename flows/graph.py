"""What DVC says of the pipeline: its stages, what each waits for, and which are stale."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

DVC = (sys.executable, "-m", "dvc")
Graph = Mapping[str, tuple[str, ...]]


class DvcError(RuntimeError):
    """DVC refused; the text is what it said."""


def upstream(repo: Path) -> dict[str, tuple[str, ...]]:
    """Stage → the stages whose outputs it reads, as `dvc dag --dot` draws them."""
    dot = _dvc(repo, "dag", "--dot")
    edges = re.findall(r'^"([^"]+)" -> "([^"]+)";$', dot, re.MULTILINE)
    return {
        name: tuple(first for first, second in edges if second == name)
        for name in re.findall(r'^"([^"]+)";$', dot, re.MULTILINE)
    }


def stale(repo: Path) -> set[str]:
    """The stages whose command, dependencies, params or outputs changed since they last ran."""
    return set(json.loads(_dvc(repo, "status", "--json")))


def needed(graph: Graph, targets: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The part of the graph that `targets` need. A target is a stage ("train@cnn") or a group ("train").

    Raises ValueError for a target that is neither.
    """
    wanted: set[str] = set()
    for target in targets:
        matched = {name for name in graph if target in (name, name.split("@")[0])}
        if not matched:
            raise ValueError(f"no stage is called {target!r}; the stages: {', '.join(graph)}")
        wanted |= matched
    pending = list(wanted)
    while pending:
        above = set(graph[pending.pop()]) - wanted
        wanted |= above
        pending += above
    return {name: above for name, above in graph.items() if name in wanted}


def in_order(graph: Graph) -> list[str]:
    """The stages so that each comes after all that it waits for."""
    return list(TopologicalSorter(graph).static_order())


def may_change(graph: Graph, changed: Collection[str]) -> set[str]:
    """The changed stages and everything downstream of them: only these have to be asked to run."""
    found: set[str] = set()
    for name in in_order(graph):
        if name in changed or any(above in found for above in graph[name]):
            found.add(name)
    return found


def _dvc(repo: Path, *arguments: str) -> str:
    done = subprocess.run([*DVC, *arguments], cwd=repo, text=True, capture_output=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise DvcError(f"`dvc {' '.join(arguments)}` failed: {said[0].removeprefix('ERROR: ')}")
    return done.stdout
