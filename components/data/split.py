"""The split stage: 80/20 training and validation rows, and a test subset held out first where there is none.

python -m components.data.split mnist
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.data.split", description=__doc__)
    parser.add_argument("dataset", help="a data set's name, such as mnist")
    given = begin(parser)

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from components.data.arrays import SUBSETS, Subset, save_split
from components.data.kind import DataConfig, Examples, SplitConfig, load_kind
from components.errors import UserError
from components.files import whole_folder
from components.params import params
from components.process.command import run


def split_rows(
    targets: np.ndarray,
    published: np.ndarray | None,
    config: SplitConfig,
    where: str,
    rare_classes_ok: bool = False,
    classes: Sequence[str] = (),
    leave_out: str = "delete its files",
) -> dict[Subset, np.ndarray]:
    """Row numbers of each subset: disjoint, together all rows, in ascending order.

    targets:         (examples,) class numbers.
    published:       (examples,): the number in SUBSETS of each one's subset; None where no split is published. Of all
                     rows `config.test` are held out where none is for testing, and of the rest `config.validation` are
                     drawn where none is for validation.
    classes:         the classes' names, for messages; leave_out: how one of them is left out.
    where:           the path of `config` in params.yaml, for messages.
    rare_classes_ok: draw the classes that are too rare to share as if they were one.
    Raises UserError when a class is too rare to be in every subset (or, if that is no fault, when a subset is empty).
    """
    strata = _strata if rare_classes_ok else _as_they_are
    subset_of = np.zeros(len(targets), np.int8) if published is None else published
    learning, own_validation, own_test = (np.flatnonzero(subset_of == number) for number in range(len(SUBSETS)))
    test = own_test
    if not len(own_test):
        learning, test = _stratified(learning, strata(targets[learning], config.test), config.test, config, where)
    if len(own_validation):
        train, validation = learning, own_validation
    elif config.method == "head":
        count = round(len(learning) * config.validation)
        validation, train = learning[:count], learning[count:]
    else:
        drawn_from = strata(targets[learning], config.validation)
        train, validation = _stratified(learning, drawn_from, config.validation, config, where)

    rows: dict[Subset, np.ndarray] = {"train": train, "validation": validation, "test": test}
    kept = {subset for subset, own in (("validation", own_validation), ("test", own_test)) if len(own)}
    for subset in SUBSETS:
        if not len(rows[subset]):
            raise UserError(
                f"{where}: of {len(targets)} examples none is left for the {subset} subset; change the fractions"
            )
        absent = np.empty(0, int) if rare_classes_ok else np.setdiff1d(targets, targets[rows[subset]])
        if len(absent):
            name = repr(classes[absent[0]]) if classes else str(absent[0])
            raise UserError(_no_example(name, subset, config, where, kept, leave_out))
    return rows


def _no_example(name: str, subset: str, config: SplitConfig, where: str, kept: Collection[str], leave_out: str) -> str:
    """That a class is in some subsets and not in this one, and the way out."""
    if kept:
        with_own = " and ".join(sorted(kept))
        return (
            f"{where}: class {name} has no example in the {subset} subset, while the set has its own {with_own}; "
            f"leave the class out ({leave_out}), or put examples of it into each subset"
        )
    return (
        f"{where}.method: {config.method} leaves no example of class {name} in the {subset} subset"
        f"{'; the set is sorted by class' if config.method == 'head' else ''}; "
        f"set {where}.method: stratified, or change the fractions"
    )


def _as_they_are(targets: np.ndarray, fraction: float) -> np.ndarray:
    return targets


def _strata(targets: np.ndarray, fraction: float) -> np.ndarray:
    """The class numbers, but -1 for the classes with too few rows to have one on either side of `fraction`."""
    needed = 1 / min(fraction, 1 - fraction)
    numbers, counts = np.unique(targets, return_counts=True)
    order = np.argsort(counts, kind="stable")
    merged = int(np.sum(counts < needed))
    if 0 < counts[order[:merged]].sum() < needed:
        merged += 1  # together they are too few still, so the next rarest joins them
    return np.where(np.isin(targets, numbers[order[:merged]]), -1, targets)


def _stratified(
    rows: np.ndarray, strata: np.ndarray, fraction: float, config: SplitConfig, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """(rest, drawn): `fraction` of the rows drawn by seed, with every stratum in its own proportion."""
    try:
        rest, drawn = train_test_split(rows, test_size=fraction, random_state=config.seed, stratify=strata)
    except ValueError as error:
        raise UserError(f"{where}: these fractions cannot be drawn from {len(rows)} examples: {error}") from None
    return np.sort(rest), np.sort(drawn)


def split_examples(config: DataConfig, examples: Examples) -> dict[Subset, np.ndarray]:
    """The rows of each subset of a data set. Raises UserError as `split_rows` does."""
    leave_out = f"{config.where}.classes: a list without it" if hasattr(config, "classes") else "delete its files"
    return split_rows(
        examples.targets,
        examples.subsets,
        config.split,
        f"{config.where}.split",
        examples.rare_classes_ok,
        examples.classes,
        leave_out,
    )


def split(name: str, settings: params.Params, preprocessed: Path, target: Path) -> None:
    """Draw the rows of data set `name`, and of texts the vocabulary, and write them into `target`.

    preprocessed: what the stage of that name left, whose images are not written a second time.
    """
    config: DataConfig = settings.entry("data", name)
    kind = load_kind(config.kind)
    with whole_folder(target) as folder, tempfile.TemporaryDirectory(dir=folder) as scratch:
        examples = kind.examples(config, preprocessed, Path(scratch))
        rows = split_examples(config, examples)
        if kind.learn:
            examples = kind.learn(config, examples, rows)
        save_split(
            folder,
            {"inputs": examples.inputs, "targets": examples.targets, **examples.extra},
            rows,
            examples.classes,
            examples.findings,
            text=examples.text,
            grey_bits=examples.grey_bits,
            arrays_in=examples.stored_in,
            digests=examples.digests,
        )
    print(f"{name}: " + ", ".join(f"{len(rows[subset])} {subset}" for subset in SUBSETS), flush=True)


def main(name: str) -> None:
    settings = params.load()
    split(name, settings, Path(settings.paths.preprocessed) / name, Path(settings.paths.split) / name)


if __name__ == "__main__":
    run(lambda: main(given.dataset))
