"""What a model's frozen layers make of each image, computed once, for its training to start from.

And the examples of a model that trains on others than the data set's own rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from components.data.arrays import Split, Subset, save_split
from components.models.pretrained import Pretrained, PretrainedConfig
from components.models.task import Task, read_inputs, untrained

BATCH = 64


def make(task: Task, config: PretrainedConfig, split: Split, weights: Mapping[str, Tensor], folder: Path) -> str:
    """Write a split of features, or of the model's own examples, into a folder, if there are such; what it wrote."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        examples = task.derive(config, split, Path(scratch)) if task.derive else split
        model = untrained(task, config, examples.spec, weights)
        assert isinstance(model, Pretrained)
        if config.store_features and not config.augments and model.first:
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            _store(model.to(device).eval(), examples, folder, Path(scratch))
            steps = " and ".join(model.backbone.steps[step - 1] for step in model.kept)
            return f"the outputs of {steps} for {_counts(examples)}"
        if examples is not split:
            _save(folder, examples, examples.arrays, examples.rows, examples.images)
            return _counts(examples)
    reason = "images are augmented" if config.augments else "there is no frozen beginning to store"
    return f"nothing stored: {reason if config.store_features else 'store_features is false'}"


def _counts(examples: Split) -> str:
    return f"{len(examples.rows['train'])} training and {len(examples.rows['validation'])} validation examples"


@torch.inference_mode()
def _store(model: Pretrained, examples: Split, folder: Path, scratch: Path) -> None:
    """The rows that are trained and validated on, as a split whose inputs are features."""
    kept = np.sort(np.concatenate([examples.rows["train"], examples.rows["validation"]]))
    features: np.ndarray | None = None
    device = next(model.parameters()).device
    for start in tqdm(range(0, len(kept), BATCH), desc="features", unit="batch", disable=None):
        images = read_inputs(examples, kept[start : start + BATCH]).to(device)
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
