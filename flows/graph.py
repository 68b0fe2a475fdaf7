"""The pipeline as DVC knows it: its stages, what each waits for, and which are stale."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DVC = (sys.executable, "-m", "dvc")
Graph = Mapping[str, tuple[str, ...]]
CODE = "code"  # the stage that tells by which code each other one is made
LATER = "study@"  # what is measured beyond the models' tests comes after these
STATES = {"modified": "changed", "deleted": "is gone", "not in cache": "is not in DVC's cache"}


class DvcError(RuntimeError):
    """DVC refused; the text is what it said."""


def upstream(repo: Path) -> dict[str, tuple[str, ...]]:
    """Stage → the stages whose outputs it reads, as `dvc dag --dot` draws them."""
    dot = dvc(repo, "dag", "--dot")
    edges = re.findall(r'^"([^"]+)" -> "([^"]+)";$', dot, re.MULTILINE)
    return {
        name: tuple(first for first, second in edges if second == name)
        for name in re.findall(r'^"([^"]+)";$', dot, re.MULTILINE)
    }


def reasons(repo: Path) -> dict[str, list[str]]:
    """Stale stage → why: "models.cnn.dropout: 0.25 → 0.4", "its code changed", "its output data/models/cnn is gone"."""
    changed = json.loads(dvc(repo, "status", "--json"))
    ran = _loaded(repo / "dvc.lock").get("stages", {})
    values = {file: _loaded(repo / file) for own in ran.values() for file in own.get("params", {})}
    return {
        stage: [why for change in changes for why in _why(change, ran[stage].get("params", {}), values)]
        if stage in ran
        else ["it has not run yet"]
        for stage, changes in changed.items()
    }


def _loaded(file: Path) -> dict[str, Any]:
    return (YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}) if file.exists() else {}


def _why(change: str | Mapping[str, Any], ran: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """ran: params file → key → its value when the stage ran; values: file → what it holds now."""
    if isinstance(change, str):
        yield "its command changed" if change == "changed command" else change
        return
    for kind, entries in change.items():
        owner = "its output " if kind == "changed outs" else ""
        for path, state in entries.items():
            if isinstance(state, Mapping):  # a params file
                for key, what in state.items():
                    told = [*_differences(key, ran.get(path, {}).get(key), _at(values.get(path, {}), key))]
                    yield from told if what == "modified" and told else [f"{key} {STATES.get(what, what)}"]
            else:
                what = "its code" if f"/{CODE}/" in f"/{path}" else f"{owner}{path}"
                yield f"{what} {STATES.get(state, state)}"


def _at(values: Any, key: str) -> Any:
    """What stands under a dotted key; None where nothing does."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _differences(key: str, before: Any, now: Any) -> Iterator[str]:
    """Each value below a key that is not what it was, as "key: before → now"."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*before, *now]):
            if name not in now:
                yield f"{key}.{name} is gone, was {_short(before[name])}"
            elif name not in before:
                yield f"{key}.{name}: {_short(now[name])} is new"
            else:
                yield from _differences(f"{key}.{name}", before[name], now[name])
    elif before != now:
        yield f"{key}: {_short(before)} → {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str).strip('"')
    return text if len(text) <= 40 else f"{text[:37]}..."


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
    """The stages so that each comes after all that it waits for: chain after chain, short ones first, studies last.

    So the first model is tested before the last one's data are fetched. Raises ValueError if the graph has a cycle.
    """
    order = list(TopologicalSorter(graph).static_order())
    above: dict[str, set[str]] = {}
    for name in order:
        above[name] = {name}.union(*(above[one] for one in graph[name]))
    ordered: dict[str, None] = {}

    def visit(names: Iterable[str]) -> None:
        for name in sorted(names, key=lambda each: (each.startswith(LATER), len(above[each]), each)):
            if name not in ordered:
                visit(graph[name])
                ordered[name] = None

    followed = {one for names in graph.values() for one in names}
    visit(name for name in graph if name not in followed)
    return [*ordered]


def may_change(graph: Graph, changed: Collection[str]) -> set[str]:
    """The changed stages and everything downstream of them: only these have to be asked to run."""
    stale: set[str] = set()
    for name in in_order(graph):
        if name in changed or any(above in stale for above in graph[name]):
            stale.add(name)
    return stale


def cache(repo: Path) -> Path:
    """The folder of DVC's cache, which a user may have put anywhere."""
    return Path(dvc(repo, "cache", "dir").strip())


def dvc(repo: Path, *arguments: str) -> str:
    """The output of a DVC command. Raises DvcError if it fails."""
    done = subprocess.run([*DVC, *arguments], cwd=repo, text=True, capture_output=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise DvcError(f"`dvc {' '.join(arguments)}` failed: {said[0].removeprefix('ERROR: ')}")
    return done.stdout
