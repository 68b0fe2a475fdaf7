"""The arguments of a sweep's command. Imports nothing that takes long."""

from __future__ import annotations

import argparse


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.tune", description="Search a model's values.")
    parser.add_argument("model", help="a model's name, such as cnn")
    parser.add_argument("--grow", action="store_true", help="widen the model until it overfits")
    parser.add_argument("--apply", action="store_true", help="write the best values into params.yaml")
    parser.add_argument("--trials", type=_at_least_one, help="in place of params.yaml's search.trials")
    parser.add_argument("--cpus", type=_at_least_one, help="cores of a trial, or of each of its workers")
    parser.add_argument("--gpus", type=float, help="GPUs of a trial, or of each worker; 0.25: four trials share one")
    parser.add_argument("--workers", type=int, default=0, help="of a trial, by Ray Train; 0: it trains in one process")
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer >= 1")
    return int(text)
