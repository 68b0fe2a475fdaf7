"""The product beside the course notes' own programs: seconds an epoch, and seconds to an accuracy.

    python -m bench.peers [--source full] [--rounds 5] [--peers .venv-peers/bin/python] [model ...]

`python -m components.train` as shipped, a bare PyTorch loop on one thread, Keras on TensorFlow and Lightning, in turns,
on all cores that they take. Keras and Lightning live in an environment of their own, which `make peers` makes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bench.loop import texts
from bench.mnist import prepared
from bench.peers.programs import Epochs
from bench.stages import REPO, Stages, absolute
from components.data.arrays import Split, open_split

MODELS = ("cnn", "autoencoder", "lstm")
PEERS = ("keras", "lightning")
TEXTS = 1500
EPOCHS = 4  # a turn, of which the first does not count
GOALS = {"cnn": (0.965, 30), "autoencoder": (0.959, 30)}  # the validation accuracy to reach, and the most epochs
MEASURES = {"cnn": "validation_accuracy", "autoencoder": "validation_rounded_accuracy", "lstm": "validation_accuracy"}


def arrays_of(split: Split, file: Path) -> Path:
    """The same rows for every program, as one file."""
    found = {}
    for inputs, targets, part in (("inputs", "targets", "train"), ("held_out", "answers", "validation")):
        rows = split.rows["train" if part == "train" else "validation"]
        found[inputs], found[targets] = split.arrays["inputs"][rows], split.arrays["targets"][rows].astype(np.int64)
    np.savez(file, **found)
    return file


def by_product(stages: Stages, model: str, epochs: int) -> Epochs:
    """`python -m components.train`, from the start, in a folder of runs of its own."""
    with tempfile.TemporaryDirectory(dir=stages.folder) as runs:
        stages.values["paths"]["runs"] = runs
        stages.entry(model)["epochs"] = epochs
        stages.prepare(model)
        stages.run("components.train", model)
    times = [at for at, line in stages.printed if "  epoch " in line]
    history = pd.read_csv(stages.path("models", model, "history.csv"))
    # The first epoch's own start is not printed; it takes about as long as the second.
    seconds = [times[1] - times[0], *(later - at for at, later in itertools.pairwise(times))]
    return Epochs(seconds, history[MEASURES[model]].tolist())


def by_library(python: str, library: str, model: str, file: Path, epochs: int) -> Epochs:
    command = [python, "-m", "bench.peers.programs", library, model, str(file), str(epochs)]
    done = subprocess.run(command, cwd=REPO, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{library}'s {model} failed:\n{done.stderr[-2000:]}")
    return Epochs(**json.loads(done.stdout.splitlines()[-1]))


def to_goal(epochs: Epochs, goal: float) -> float | None:
    """Seconds until the accuracy was first reached; None if it was not."""
    spent = itertools.accumulate(epochs.seconds)
    return next((at for at, reached in zip(spent, epochs.accuracy, strict=True) if reached >= goal), None)


def speeds(model: str, programs: Mapping[str, Callable[[int], Epochs]], rounds: int) -> list[str]:
    """Lines of the table: each program's median seconds an epoch, and how many times the product's that is."""
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            taken[name].append(statistics.median(program(EPOCHS).seconds[1:]))
    return [f"| {model} | {name} | {statistics.median(own):.2f} | {_times(own, taken['product'])} |"
            for name, own in taken.items()]  # fmt: skip


def _times(own: list[float], product: list[float]) -> str:
    ratios = sorted(one / other for one, other in zip(own, product, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def accuracies(model: str, programs: Mapping[str, Callable[[int], Epochs]], rounds: int) -> list[str]:
    goal, most = GOALS[model]
    lines = []
    for name, program in programs.items():
        found = [to_goal(program(most), goal) for _ in range(rounds)]
        reached = [seconds for seconds in found if seconds is not None]
        median = f"{statistics.median(reached):.1f} s" if reached else f"not in {most} epochs"
        lines.append(f"| {model} to {goal} | {name} | {median} | reached in {len(reached)} of {rounds} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="The product beside other tools.")
    parser.add_argument("--source", default="full", help="sample | full | the path of your own files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=str(REPO / ".venv-peers/bin/python"), help="of Keras and Lightning")
    parser.add_argument("--no-accuracy", action="store_true", help="speeds alone")
    parser.add_argument("models", nargs="*", metavar="model", help=f"of {', '.join(MODELS)}; all, if none is named")
    given = parser.parse_args()
    if unknown := set(given.models) - set(MODELS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(MODELS)}")
    if not Path(given.peers).exists():
        parser.error(f"{given.peers} is not there; `make peers` makes it")
    print("| model | program | seconds an epoch | times the product's |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        stages = prepared(Path(folder), absolute(given.source))
        stages.entry("lstm")["start"] = "none"
        reviews = stages.path("split", "reviews")
        reviews.mkdir(parents=True)
        texts(reviews, TEXTS)
        for model in given.models or MODELS:
            split = open_split(stages.path("split", stages.entry(model)["data"]))
            file = arrays_of(split, Path(folder, f"{model}.npz"))
            programs: dict[str, Callable[[int], Epochs]] = {
                "product": lambda epochs, model=model: by_product(stages, model, epochs)  # type: ignore[misc]
            }
            for library in ("bare", *PEERS):
                python = given.peers if library in PEERS else sys.executable
                programs[library] = lambda epochs, python=python, library=library, model=model, file=file: by_library(  # type: ignore[misc]
                    python, library, model, file, epochs
                )
            print(*speeds(model, programs, given.rounds), sep="\n", flush=True)
            if model in GOALS and not given.no_accuracy:
                programs.pop("bare")
                print(*accuracies(model, programs, min(3, given.rounds)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
