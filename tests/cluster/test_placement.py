"""How many workers a cluster holds, and what is said when it holds too few."""

from __future__ import annotations

import pytest

from components.cluster.placement import Placement, place
from components.cluster.plan import packed, plan
from components.errors import UserError

LAPTOP = [{"CPU": 2.0}]
TWO_NODES = [{"CPU": 8.0}, {"CPU": 4.0}]
GPUS = [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 4.0}, {"CPU": 64.0}]


@pytest.mark.parametrize(
    ("nodes", "asked", "expected"),
    [
        (LAPTOP, None, Placement(1, cpus=2, gpus=0)),
        (LAPTOP, "2", Placement(2, cpus=1, gpus=0)),
        (TWO_NODES, None, Placement(2, cpus=4, gpus=0)),
        (TWO_NODES, "3", Placement(3, cpus=4, gpus=0)),
        (TWO_NODES, "12", Placement(12, cpus=1, gpus=0)),
        (GPUS, None, Placement(8, cpus=2, gpus=1)),
        (GPUS, "2", Placement(2, cpus=2, gpus=1)),
        ([{"CPU": 0.0}, {"CPU": 4.0}], None, Placement(1, cpus=4, gpus=0)),
    ],
)
def test_workers_come_from_the_cluster_or_from_the_variable(
    nodes: list[dict[str, float]], asked: str | None, expected: Placement
) -> None:
    assert place(nodes, asked) == expected


@pytest.mark.parametrize(
    ("nodes", "asked", "said"),
    [
        (LAPTOP, "3", "3 workers with one CPU core each were asked for, but the Ray cluster has 2 cores on 1 node;"),
        (GPUS, "9", "9 workers with one GPU each were asked for, but the Ray cluster has 8 GPUs on 3 nodes;"),
        ([{"CPU": 2.0, "GPU": 4.0}], None, "has cores for 2 of its GPUs on 1 node;"),
        ([], None, "has 0 cores on 0 nodes"),
    ],
)
def test_a_cluster_too_small_is_refused_with_what_was_asked_and_what_is_there(
    nodes: list[dict[str, float]], asked: str | None, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        place(nodes, asked)


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_workers_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(UserError, match=r"TRAINYARD_WORKERS: .* an integer >= 1"):
        place(LAPTOP, asked)


@pytest.mark.parametrize(
    ("nodes", "asked", "counts"),
    [
        (LAPTOP, None, [1]),
        (LAPTOP * 2, None, [1, 1]),
        (TWO_NODES, None, [2, 0]),
        (list(reversed(TWO_NODES)), "3", [1, 2]),
        (GPUS, None, [4, 4, 0]),
        (GPUS, "5", [4, 1, 0]),
        ([{"CPU": 0.0}, {"CPU": 4.0}], None, [0, 1]),
    ],
)
def test_workers_fill_the_nodes_as_rays_pack_does(
    nodes: list[dict[str, float]], asked: str | None, counts: list[int]
) -> None:
    assert packed(nodes, place(nodes, asked)) == counts


def test_a_plan_shows_nodes_workers_and_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TRAINYARD_WORKERS", "TRAINYARD_STORAGE"):
        monkeypatch.delenv(variable, raising=False)
    assert plan("8 CPU 2 GPU, 16 CPU").splitlines() == [
        "node  cores  GPUs  workers  each with",
        "1     8      2     2        4 CPU + 1 GPU",
        "2     16     0     0",
        "2 workers with a GPU and 4 CPU cores each; they average gradients by NCCL",
    ]
    on_cpus = plan("2 CPU, 2 CPU").splitlines()[-2:]
    assert on_cpus[0].endswith("by gloo")
    assert on_cpus[1].startswith("TRAINYARD_STORAGE is unset: these nodes must share the disk")
    with pytest.raises(UserError, match="'2 cores' describes no node; it takes such as"):
        plan("2 CPU, 2 cores")
