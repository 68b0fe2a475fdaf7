"""The features stage: what a model's frozen layers make of each image, computed once, for its training to start from.

    python -m components.prepare.features transfer

It also makes the examples of a model that trains on others than the data set's own rows. Where there is nothing to
store, since images are augmented or no layer is frozen, it leaves a note of what the training reads instead.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(
        prog="python -m components.prepare.features", description="Compute frozen layers once."
    )
    parser.add_argument("model", help="a model's name, such as transfer")
    given = begin(parser)

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from components.data.arrays import SUMMARY, Split, Subset, open_split, save_split
from components.errors import UserError
from components.files import whole_folder
from components.models.pretrained import Pretrained, PretrainedConfig, digest_of
from components.models.task import Task, TrainingConfig, load_task, read_inputs, untrained
from components.params import params
from components.prepare.weights import load_weights
from components.process import allocator, cores
from components.process.command import run

NOTE = "features.json"


def training_split(paths: params.Paths, name: str, config: TrainingConfig) -> Split:
    """The split that model `name` trains on: its features, or its data set. Raises UserError when that is not there."""
    if isinstance(config, PretrainedConfig):
        features = Path(paths.features) / name
        if (features / SUMMARY).exists():
            return open_split(features)
        if not (features / NOTE).exists():
            raise UserError(f"{features}: no features here; `dvc repro` makes them")
    return open_split(Path(paths.split) / config.data)


def make(task: Task, config: PretrainedConfig, split: Split, weights: Mapping[str, Tensor], target: Path) -> None:
    """Write the folder `target`: a split of features, or a note that the training reads the data set itself."""
    with whole_folder(target) as folder, tempfile.TemporaryDirectory(dir=folder) as scratch:
        examples = task.derive(config, split, Path(scratch)) if task.derive else split
        model = untrained(task, config, examples.spec, weights)
        assert isinstance(model, Pretrained)
        if config.store_features and not config.augments and model.first:
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            _store(model.to(device).eval(), config, examples, folder, Path(scratch))
            steps = " and ".join(model.backbone.steps[step - 1] for step in model.kept)
            said = f"the outputs of {steps} for {_counts(examples)}"
        elif examples is not split:
            _save(folder, examples, examples.arrays, examples.rows, examples.images)
            said = _counts(examples)
        else:
            reason = "images are augmented" if config.augments else "there is no frozen beginning to store"
            said = f"nothing stored: {reason if config.store_features else 'store_features is false'}"
        # What the training reads besides this folder: a change of either makes it stale.
        note = {"split": split.fingerprint, "weights": digest_of(weights)}
        (folder / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    print(f"{task.name}: {said}", flush=True)


def _counts(examples: Split) -> str:
    return f"{len(examples.rows['train'])} training and {len(examples.rows['validation'])} validation examples"


@torch.inference_mode()
def _store(model: Pretrained, config: PretrainedConfig, examples: Split, folder: Path, scratch: Path) -> None:
    """The rows that are trained and validated on, as a split whose inputs are features."""
    kept = np.sort(np.concatenate([examples.rows["train"], examples.rows["validation"]]))
    features: np.ndarray | None = None
    device = next(model.parameters()).device
    for start in tqdm(range(0, len(kept), config.batch_size), desc="features", unit="batch", disable=None):
        images = read_inputs(examples, kept[start : start + config.batch_size]).to(device)
        computed = _as_array(model.beginning(images).cpu())
        if features is None:
            shape = (len(kept), *computed.shape[1:])
            features = np.lib.format.open_memmap(scratch / "features.npy", "w+", computed.dtype, shape)
        features[start : start + len(computed)] = computed
    assert features is not None
    rows: dict[Subset, np.ndarray] = {
        "train": np.searchsorted(kept, examples.rows["train"]),
        "validation": np.searchsorted(kept, examples.rows["validation"]),
        "test": np.empty(0, dtype=np.int64),
    }
    others = {name: array[kept] for name, array in examples.arrays.items() if name != "inputs"}
    image = examples.spec.input_shape
    _save(folder, examples, {"inputs": features, **others}, rows, image)


def _save(
    folder: Path,
    examples: Split,
    arrays: Mapping[str, np.ndarray],
    rows: Mapping[Subset, np.ndarray],
    images: tuple[int, ...] | None,
) -> None:
    save_split(folder, arrays, rows, examples.classes, images=images, grey_bits=examples.grey_bits)


def _as_array(features: Tensor) -> np.ndarray:
    """numpy has no bfloat16; its bits go as int16, which task.read_inputs knows."""
    bits = features.view(torch.int16) if features.dtype == torch.bfloat16 else features
    array: np.ndarray = bits.contiguous().numpy()
    return array


def main(name: str) -> None:
    cores.use()
    allocator.keep_freed()
    settings = params.load()
    task, config = load_task(name), settings.sections[name]
    if not isinstance(config, PretrainedConfig):
        raise UserError(f"{name!r} is no model that starts from a backbone's weights")
    split = open_split(Path(settings.paths.split) / config.data)
    weights = load_weights(Path(settings.paths.weights) / name)
    make(task, config, split, weights, Path(settings.paths.features) / name)


if __name__ == "__main__":
    run(lambda: main(given.model))
