"""The split stage: 80/20 training and validation rows, and a test part held out first where there is none.

python -m components.data.split mnist
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from components import params
from components.data.dataset import SplitConfig, load_dataset
from components.data.loaders import PARTS, Part, save_split
from components.files import whole_folder
from components.params import UserError


def split_rows(targets: np.ndarray, test_from: int | None, config: SplitConfig, where: str) -> dict[Part, np.ndarray]:
    """Row numbers of each part: disjoint, together all rows, in ascending order.

    targets:   (examples,) class numbers.
    test_from: the first row of the set's own test part, or None: then `config.test` of all is held out.
    where:     the path of `config` in params.yaml, for messages.
    Raises UserError when a class is too rare to be in every part.
    """
    if test_from is None:
        learning, test = _stratified(np.arange(len(targets)), targets, config.test, config.seed, where)
    else:
        learning, test = np.arange(test_from), np.arange(test_from, len(targets))
    if config.method == "head":
        count = round(len(learning) * config.validation)
        validation, train = learning[:count], learning[count:]
    else:
        train, validation = _stratified(learning, targets, config.validation, config.seed, where)

    rows: dict[Part, np.ndarray] = {"train": train, "validation": validation, "test": test}
    for part in PARTS:
        absent = np.setdiff1d(targets, targets[rows[part]])
        if len(absent):
            raise UserError(
                f"{where}.method: {config.method} leaves no example of class {absent[0]} in the {part} part"
                f"{'; the set is sorted by class' if config.method == 'head' else ''}; "
                f"set {where}.method: stratified, or change the shares"
            )
    return rows


def _stratified(
    rows: np.ndarray, targets: np.ndarray, share: float, seed: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """(rest, drawn): `share` of the rows drawn by seed, with every class in its own proportion."""
    try:
        rest, drawn = train_test_split(rows, test_size=share, random_state=seed, stratify=targets[rows])
    except ValueError as error:
        raise UserError(f"{where}: these shares cannot be drawn from {len(rows)} examples: {error}") from None
    return np.sort(rest), np.sort(drawn)


def split(name: str, settings: params.Params, raw: Path, target: Path) -> None:
    """Decode data set `name` from folder `raw` into arrays and write them with their split into `target`."""
    dataset = load_dataset(name)
    config: SplitConfig = settings.sections[name].split  # type: ignore[attr-defined]
    examples = dataset.read(raw)
    rows = split_rows(examples.targets, examples.test_from, config, where=f"{name}.split")
    with whole_folder(target) as folder:
        arrays = {"inputs": examples.inputs, "targets": examples.targets}
        save_split(folder, arrays, rows, examples.classes)
    print(f"{name}: " + ", ".join(f"{len(rows[part])} {part}" for part in PARTS), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.data.split", description=__doc__)
    parser.add_argument("dataset", help="a data set's name, such as mnist")
    name = parser.parse_args().dataset
    settings = params.load()
    split(name, settings, Path(settings.paths.raw) / name, Path(settings.paths.split) / name)


if __name__ == "__main__":
    params.run(main)
