"""What surrounds the epochs: starts, DVC, the flow, Ray, trials; how work spreads over cores; memory.

    python -m bench.fixed [--rounds 5] [row ...]

In a clone of the last commit with synthetic digits. Each row: the median of the rounds, the least and the most; rows
that compare two ways take them in turns.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.loop import digits
from bench.stages import REPO, Stages

TRIALS = (2, 6)
EXAMPLES = 6_000
TWO_TRAININGS = ("autoencoder", "cnn")


class Clone:
    """A clone of the project whose first stages have run."""

    def __init__(self, folder: Path) -> None:
        self.stages = Stages(folder)
        subprocess.run(["git", "clone", "--quiet", str(REPO), str(folder)], check=True)
        self.stages.entry("mnist")["source"] = "data/sources/synthetic/digits.yaml"
        self.run("dvc", "repro", "--quiet", "split@mnist", "none")

    def run(self, *command: str, **environment: str) -> float:
        """Seconds of `python -m …`."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where DVC finds this Python
        return self.stages.run(*command, PATH=path, **environment)

    def fresh(self) -> None:
        """Forget every training."""
        for trained in self.stages.values["models"]:
            shutil.rmtree(self.stages.path("models", trained), ignore_errors=True)
        for kind in ("runs", "sweeps"):
            shutil.rmtree(self.stages.path(kind), ignore_errors=True)

    def training(self, model: str, **environment: str) -> tuple[float, list[float]]:
        """Seconds of a whole training from its start, and from epoch to epoch."""
        self.fresh()
        self.run("components.prepare", model)
        whole = self.run("components.train", model, **environment)
        times = [at for at, line in self.stages.printed if "  epoch " in line]
        return whole, [later - at for at, later in itertools.pairwise(times)]


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def starts(clone: Clone, rounds: int) -> list[str]:
    """A stage that does nothing but start: without torch, and with it."""
    found = []
    for name in ("components.data.split", "components.train"):
        found.append(f"| start of {name} (--help) | {spread([clone.run(name, '--help') for _ in range(rounds)])} s |")
    return found


def nothing_to_do(clone: Clone, rounds: int) -> list[str]:
    """DVC and the flow where all is done."""
    target = "split@mnist"
    clone.run("flows.pipeline", target)
    both = [(clone.run("dvc", "repro", target), clone.run("flows.pipeline", target)) for _ in range(rounds)]
    dvc, flow = (spread(list(each)) for each in zip(*both, strict=True))
    return [f"| `dvc repro`, nothing to do | {dvc} s |", f"| the flow, nothing to do, own server | {flow} s |"]


def fixed_cost(clone: Clone, rounds: int) -> list[str]:
    """Of a training: all but its epochs, in the stage's process and by two workers of Ray's."""
    lines = []
    for workers in (1, 2):
        beyond = []
        for _ in range(rounds):
            whole, epochs = clone.training("cnn", TRAINYARD_WORKERS=str(workers))
            beyond.append(whole - sum(epochs) * (len(epochs) + 1) / len(epochs))
        lines.append(f"| a training beyond its epochs, {workers} worker{'s' * (workers > 1)} | {spread(beyond)} s |")
    return lines


def trials(clone: Clone, rounds: int) -> list[str]:
    """Of a sweep, by its own closing line."""
    beyond = {}
    for count in TRIALS:
        own = []
        for _ in range(rounds):
            clone.fresh()
            clone.run("components.tune", "cnn", "--trials", str(count))
            text = "".join(line for _, line in clone.stages.printed)
            found = re.search(r"([\d.]+) s of each beyond training", text)
            assert found, text
            own.append(float(found[1]))
        beyond[count] = spread(own)
    return [f"| each of {count} trials beyond training | {took} s |" for count, took in beyond.items()]


def workers(clone: Clone, rounds: int) -> list[str]:
    """1 → 2 workers of one core each: the same data (strong), and twice as many (weak)."""
    clone.stages.entry("cnn").update(epochs=4)
    epochs: dict[str, list[float]] = {"one": [], "strong": [], "weak": []}
    for _ in range(rounds):
        for way, count, examples in (("one", 1, EXAMPLES), ("strong", 2, EXAMPLES), ("weak", 2, 2 * EXAMPLES)):
            digits(clone.stages.path("split", "mnist"), examples)
            _, own = clone.training("cnn", TRAINYARD_WORKERS=str(count), TRAINYARD_CORES="1")
            epochs[way].append(statistics.median(own))
    strong = [one / two for one, two in zip(epochs["one"], epochs["strong"], strict=True)]
    weak = [one / two for one, two in zip(epochs["one"], epochs["weak"], strict=True)]
    return [
        f"| 2 workers, the same data: times as fast | {spread(strong)} |",
        f"| 2 workers, twice the data: fraction of one's speed for each | {spread(weak)} |",
    ]


def side_by_side(clone: Clone, rounds: int) -> list[str]:
    """Two trainings at the same time, as the flow has them, and one after the other."""
    digits(clone.stages.path("split", "mnist"), 4 * EXAMPLES)
    for model in TWO_TRAININGS:
        clone.stages.entry(model).update(epochs=15)
        clone.run("components.prepare", model)
    ratios = []
    for _ in range(rounds):
        clone.fresh()
        alone = sum(clone.run("components.train", model) for model in TWO_TRAININGS)
        clone.fresh()
        started = time.monotonic()
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "components.train", model],
                cwd=clone.stages.folder,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "TRAINYARD_CORES": "1"},
            )
            for model in TWO_TRAININGS
        ]
        assert [process.wait() for process in both] == [0, 0]
        ratios.append((time.monotonic() - started) / alone)
    return [f"| {' and '.join(TWO_TRAININGS)} at once, of one after the other | {spread(ratios)} |"]


def memory(clone: Clone, rounds: int) -> list[str]:
    """The most memory of a training on N and on 10 N images."""
    clone.stages.entry("autoencoder").update(epochs=1)
    clone.stages.write()
    peaks = []
    for examples in (EXAMPLES, 10 * EXAMPLES):
        digits(clone.stages.path("split", "mnist"), examples)
        clone.fresh()
        clone.run("components.prepare", "autoencoder")
        code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        command = [sys.executable, "-c", code, sys.executable, "-m", "components.train", "autoencoder"]
        done = subprocess.run(command, cwd=clone.stages.folder, text=True, capture_output=True, check=True)
        peaks.append(int(done.stdout) / 1024)  # Linux counts in kilobytes
    return [f"| most memory, {EXAMPLES:,} and {10 * EXAMPLES:,} images | {peaks[0]:.0f} and {peaks[1]:.0f} MB |"]


ROWS: dict[str, Callable[[Clone, int], list[str]]] = {
    "starts": starts,
    "nothing_to_do": nothing_to_do,
    "fixed_cost": fixed_cost,
    "trials": trials,
    "workers": workers,
    "side_by_side": side_by_side,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fixed", description="What surrounds the epochs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all, if none is named")
    given = parser.parse_args()
    if unknown := set(given.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are: {', '.join(ROWS)}")
    print("| what | median (least to most) |\n|---|---|", flush=True)
    for name in given.rows or ROWS:
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            print(*ROWS[name](Clone(Path(folder, "clone")), given.rounds), sep="\n", flush=True)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
