"""What a model's frozen layers make of each image, computed once, for its training to start from.

And the examples of a model that trains on others than the data set's own rows.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from components.data.arrays import Split, Subset, save_split
from components.errors import UserError
from components.models.pretrained import Pretrained, PretrainedConfig
from components.models.task import Task, untrained
from components.prepare.views import Views, as_they_are, augmented, others

BATCH = 64


def make(task: Task, config: PretrainedConfig, split: Split, weights: Mapping[str, Tensor], folder: Path) -> str:
    """Write a split of features, or of the model's own examples, into a folder, if there are such; what it wrote.

    Raises UserError where versions of images are to be stored, and there is no frozen beginning.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        examples = task.derive(config, split, Path(scratch)) if task.derive else split
        model = untrained(task, config, examples.spec, weights)
        assert isinstance(model, Pretrained)
        if config.views > 1 and not model.first:
            raise UserError(
                f"{config.where}.views: {config.views}, and no layer is frozen whose outputs could be stored; "
                f"set {config.where}.freeze, or views to 1"
            )
        if config.store_features and not config.augments and model.first:
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            versions = _versions(task, config, examples)
            _store(model.to(device).eval(), examples, config.views, versions, folder, Path(scratch))
            steps = " and ".join(model.backbone.steps[step - 1] for step in model.kept)
            return f"the outputs of {steps} for {_counts(examples, config.views)}"
        if examples is not split:
            _save(folder, examples, examples.arrays, examples.rows, examples.images)
            return _counts(examples)
    reason = "images are augmented" if config.augments else "there is no frozen beginning to store"
    return f"nothing stored: {reason if config.store_features else 'store_features is false'}"


def _counts(examples: Split, views: int = 1) -> str:
    each = f" in {views} views each" if views > 1 else ""
    return f"{len(examples.rows['train'])} training{each} and {len(examples.rows['validation'])} validation examples"


def _versions(task: Task, config: PretrainedConfig, examples: Split) -> Iterator[Views]:
    """The rows that are trained and validated on, in ascending order; behind them the training rows' other versions."""
    rows = _kept(examples)
    for start in range(0, len(rows), BATCH):
        yield as_they_are(examples, rows[start : start + BATCH])
    if config.views > 1:
        yield from augmented(task, config, examples, BATCH)


def _kept(examples: Split) -> np.ndarray:
    return np.sort(np.concatenate([examples.rows["train"], examples.rows["validation"]]))


@torch.no_grad()
def _store(
    model: Pretrained, examples: Split, views: int, versions: Iterable[Views], folder: Path, scratch: Path
) -> None:
    """A split whose inputs are the features of all versions."""
    kept, train = _kept(examples), examples.rows["train"]
    count = len(kept) + (views - 1) * len(train)
    features: np.ndarray | None = None
    arrays = {name: np.empty((count, *array.shape[1:]), array.dtype) for name, array in others(examples).items()}
    device, end = next(model.parameters()).device, 0
    progress = tqdm(versions, total=math.ceil(count / BATCH), desc="features", unit="batch", disable=None)
    for images, belonging in progress:
        computed = _as_array(_rounded(model, model.beginning(images.to(device))).cpu())
        if features is None:
            shape = (count, *computed.shape[1:])
            features = np.lib.format.open_memmap(scratch / "features.npy", "w+", computed.dtype, shape)
        start, end = end, end + len(computed)
        features[start:end] = computed
        for name, array in belonging.items():
            arrays[name][start:end] = array
    assert features is not None and end == count
    rows: dict[Subset, np.ndarray] = {
        "train": np.concatenate([np.searchsorted(kept, train), np.arange(len(kept), count)]),
        "validation": np.searchsorted(kept, examples.rows["validation"]),
        "test": np.empty(0, dtype=np.int64),
    }
    _save(folder, examples, {"inputs": features, **arrays}, rows, examples.spec.input_shape)


def _save(
    folder: Path,
    examples: Split,
    arrays: Mapping[str, np.ndarray],
    rows: Mapping[Subset, np.ndarray],
    images: tuple[int, ...] | None,
) -> None:
    save_split(folder, arrays, rows, examples.classes, images=images, grey_bits=examples.grey_bits)


def _rounded(model: Pretrained, features: Tensor) -> Tensor:
    """In half the room, as on machines that compute in bfloat16, unless float32 is asked for."""
    return features if model.precision == "float32" else features.bfloat16()


def _as_array(features: Tensor) -> np.ndarray:
    """numpy has no bfloat16; its bits go as int16, which task.read_inputs knows."""
    bits = features.view(torch.int16) if features.dtype == torch.bfloat16 else features
    array: np.ndarray = bits.contiguous().numpy()
    return array
