"""Stages side by side: each starts when what it waits for has ended and its cores are free, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Protocol, TypeVar

from flows.graph import Graph


class Ends(Protocol):
    """A stage under way, as a future has it: it is told of, and from any thread, when its stage has ended."""

    def add_done_callback(self, tell: Callable[[object], None], /) -> None: ...


F = TypeVar("F", bound=Ends)


def run_side_by_side(
    graph: Graph,
    order: Iterable[str],
    takes: Callable[[str], int],
    cores: int,
    at_once: int,
    start: Callable[[str, int], F],
) -> dict[str, F]:
    """Start every stage of `order`, and return what `start` gave once all have ended, however they did.

    takes:   stage → how many cores it runs on; 0: it does nothing, and never waits for any.
    at_once: how many stages run side by side, whatever they take.
    What comes after a stage whose cores are not free yet starts before it on those that are: all has to be done, and
    a core that waits does nothing. A large stage runs once the small ones beside it leave it all cores.
    """
    ended: SimpleQueue[str] = SimpleQueue()
    waiting, running, done = [*order], dict[str, int](), set[str]()
    started: dict[str, F] = {}

    def fits(count: int) -> bool:
        busy = [each for each in running.values() if each]
        return not count or not busy or (sum(busy) + count <= cores and len(busy) < at_once)

    while waiting or running:
        for stage in [each for each in waiting if done.issuperset(graph[each])]:
            if not fits(takes(stage)):
                continue
            waiting.remove(stage)
            running[stage] = takes(stage)
            started[stage] = start(stage, running[stage])
            started[stage].add_done_callback(lambda _, stage=stage: ended.put(stage))  # type: ignore[misc]
        stage = ended.get()
        del running[stage]
        done.add(stage)
    return started
