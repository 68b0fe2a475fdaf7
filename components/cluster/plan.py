"""Where a training's workers would go: on the cluster at RAY_ADDRESS, on this machine, or on one that is not there.

python -m components.cluster --plan
python -m components.cluster --plan --nodes "8 CPU 2 GPU, 8 CPU 2 GPU, 16 CPU"
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from components.cluster import joining
from components.cluster.placement import WORKERS_VARIABLE, Placement, place
from components.cluster.storage import VARIABLE as STORAGE
from components.errors import UserError

NODE = re.compile(r"(\d+) ?CPU(?: (\d+) ?GPU)?")
FORM = '"8 CPU 2 GPU, 16 CPU"'
HEAD = "node:__internal_head__"  # a resource that Ray gives the head, beside its address


def plan(described: str | None) -> str:
    """The plan as a table.

    described: nodes that are not there; None: those of the cluster that a training would join or start.
    Raises UserError for what is no description, and when the nodes cannot hold the workers.
    """
    if described is not None:
        return table(parsed(described))
    joining.connect()
    return table(joining.nodes())


def parsed(described: str) -> list[dict[str, float]]:
    """ "8 CPU 2 GPU, 16 CPU" → [{"CPU": 8, "GPU": 2}, {"CPU": 16, "GPU": 0}]"""
    nodes = []
    for text in described.split(","):
        node = NODE.fullmatch(text.strip())
        if node is None:
            raise UserError(f"--nodes: {text.strip()!r} describes no node; it takes such as {FORM}")
        nodes.append({"CPU": float(node[1]), "GPU": float(node[2] or 0)})
    return nodes


def packed(nodes: Sequence[Mapping[str, float]], workers: Placement) -> list[int]:
    """How many workers each node gets, if nothing else runs there.

    By Ray's placement strategy PACK, which Ray Train asks for: the node of whose resources a worker takes the least
    share is filled first, then the next. Which of several equal nodes comes first, Ray leaves to chance.
    """
    left, counts = workers.workers, [0] * len(nodes)
    rooms = [min(int(node.get(n, 0) // size) for n, size in workers.resources.items()) for node in nodes]
    shares = [sum(size / (node.get(n, 0) or 1) for n, size in workers.resources.items()) for node in nodes]
    for number in sorted(range(len(nodes)), key=lambda number: shares[number] if rooms[number] else float("inf")):
        counts[number] = min(rooms[number], left)
        left -= counts[number]
    assert left == 0, "place has counted the rooms"
    return counts


def table(nodes: Sequence[Mapping[str, float]]) -> str:
    workers = place(nodes, os.environ.get(WORKERS_VARIABLE))
    counts = packed(nodes, workers)
    rows: list[tuple[str, ...]] = [("node", "cores", "GPUs", "workers", "each with")]
    for number, (node, count) in enumerate(zip(nodes, counts, strict=True), 1):
        each = f"{workers.cpus} CPU{' + 1 GPU' if workers.gpus else ''}" if count else ""
        shown = [f"{int(node.get(name, 0))}" for name in ("CPU", "GPU")]
        rows.append((_name(node, number), *shown, str(count), each))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    backend = "NCCL" if workers.gpus else "gloo"
    said = f"{workers}; " + (f"they average gradients by {backend}" if workers.workers > 1 else "nothing to average")
    if sum(map(bool, counts)) > 1 and not os.environ.get(STORAGE):
        said += f"\n{STORAGE} is unset: these nodes must share the disk that the project is on"
    return "\n".join([*lines, said])


def _name(node: Mapping[str, float], number: int) -> str:
    """Ray's, which is among the resources, else a number."""
    names = [name.removeprefix("node:") for name in node if name.startswith("node:") and name != HEAD]
    return " ".join([str(number), *names[:1]])
