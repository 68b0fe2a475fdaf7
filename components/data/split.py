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

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from components.data.arrays import SUBSETS, Subset, save_split
from components.data.changed_source import told_how_to_read_anew
from components.data.dataset import SplitConfig, load_dataset
from components.errors import UserError
from components.files import whole_folder
from components.params import params
from components.process.command import run


def split_rows(
    targets: np.ndarray,
    test_from: int | None,
    config: SplitConfig,
    where: str,
    rare_classes_ok: bool = False,
    validation_from: int | None = None,
    classes: Sequence[str] = (),
    leave_out: str = "delete its files",
) -> dict[Subset, np.ndarray]:
    """Row numbers of each subset: disjoint, together all rows, in ascending order.

    targets:         (examples,) class numbers.
    test_from:       the first row of the set's own test subset, or None: then `config.test` of all is held out.
    validation_from: the first row of the set's own validation subset, which ends where the test subset begins; or None:
                     then `config.validation` of what is not for testing is drawn.
    classes:         the classes' names, for messages; leave_out: how one of them is left out.
    where:           the path of `config` in params.yaml, for messages.
    rare_classes_ok: draw the classes that are too rare to share as if they were one.
    Raises UserError when a class is too rare to be in every subset (or, if that is no fault, when a subset is empty).
    """
    strata = _strata if rare_classes_ok else _as_they_are
    ends = len(targets) if test_from is None else test_from
    own = np.arange(ends if validation_from is None else validation_from, ends)
    learning, test = np.arange(ends - len(own)), np.arange(ends, len(targets))
    if test_from is None:
        learning, test = _stratified(learning, strata(targets[learning], config.test), config.test, config, where)
    if len(own):
        train, validation = learning, own
    elif config.method == "head":
        count = round(len(learning) * config.validation)
        validation, train = learning[:count], learning[count:]
    else:
        drawn_from = strata(targets[learning], config.validation)
        train, validation = _stratified(learning, drawn_from, config.validation, config, where)

    rows: dict[Subset, np.ndarray] = {"train": train, "validation": validation, "test": test}
    published = {subset for subset, is_own in (("validation", len(own)), ("test", test_from is not None)) if is_own}
    for subset in SUBSETS:
        if not len(rows[subset]):
            raise UserError(
                f"{where}: of {len(targets)} examples none is left for the {subset} subset; change the fractions"
            )
        absent = np.empty(0, int) if rare_classes_ok else np.setdiff1d(targets, targets[rows[subset]])
        if len(absent):
            name = repr(classes[absent[0]]) if classes else str(absent[0])
            raise UserError(_no_example(name, subset, config, where, published, leave_out))
    return rows


def _no_example(
    name: str, subset: str, config: SplitConfig, where: str, published: Collection[str], leave_out: str
) -> str:
    """That a class is in some subsets and not in this one, and the way out."""
    if published:
        with_own = " and ".join(sorted(published))
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


def split(name: str, settings: params.Params, raw: Path, target: Path) -> None:
    """Decode data set `name` from folder `raw` into arrays and write them with their split into `target`.

    raw: what the download stage left; of texts, what the text stage made of that.
    """
    dataset = load_dataset(name)
    section = settings.sections[name]
    config: SplitConfig = section.split  # type: ignore[attr-defined]
    leave_out = f"{name}.classes: a list without it" if hasattr(section, "classes") else "delete its files"
    copied = Path(settings.paths.raw) / name
    with told_how_to_read_anew(name, copied), whole_folder(target) as folder:
        scratch = folder / "scratch"
        scratch.mkdir()
        examples = dataset.read(section, raw, scratch)
        rows = split_rows(
            examples.targets,
            examples.test_from,
            config,
            f"{name}.split",
            examples.rare_classes_ok,
            examples.validation_from,
            examples.classes,
            leave_out,
        )
        if dataset.learn:
            examples = dataset.learn(section, examples, rows)
        arrays = {"inputs": examples.inputs, "targets": examples.targets, **examples.extra}
        save_split(
            folder,
            arrays,
            rows,
            examples.classes,
            examples.findings,
            text=examples.text,
            grey_bits=examples.grey_bits,
        )
        shutil.rmtree(scratch)
    print(f"{name}: " + ", ".join(f"{len(rows[subset])} {subset}" for subset in SUBSETS), flush=True)
    for line in examples.findings.lines():
        print(f"{name}: {line}", flush=True)


def main(name: str) -> None:
    settings = params.load()
    read_from = settings.paths.text if load_dataset(name).texts else settings.paths.raw
    split(name, settings, Path(read_from) / name, Path(settings.paths.split) / name)


if __name__ == "__main__":
    run(lambda: main(given.dataset))
