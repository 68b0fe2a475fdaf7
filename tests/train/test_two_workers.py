"""Two workers are the same training as one: torch.distributed alone, without Ray. test_train.py has transfer on Ray."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, distributed

from components.data.arrays import Split, open_split
from components.models.pretrained import PretrainedConfig
from components.models.task import TrainingConfig, load_task
from components.params import params
from components.prepare import features
from components.prepare.weights import load_weights
from components.train.loop import fit
from tests.conftest import CPU

pytestmark = pytest.mark.slow

EXACT: dict[str, Any] = {"optimizer": "sgd", "epochs": 2}
Epochs = list[dict[str, Any]]


@pytest.fixture(scope="module")
def two() -> Iterator[Pool]:
    """Two processes that have imported torch once for all of these tests."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        yield pool


def _worker(rank: int, store: str, name: str, section: str, data: Path, published: Path) -> Epochs:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    try:
        return _epochs(name, load_task(name).config.model_validate_json(section), open_split(data), published)
    finally:
        distributed.destroy_process_group()


def _epochs(name: str, config: TrainingConfig, split: Split, published: Path) -> Epochs:
    start: Mapping[str, Tensor] | None = load_weights(published) if published.exists() else None
    return fit(load_task(name), config, split, CPU, lambda *_: None, weights=start).history


class Trainings:
    """The epochs of one model by two workers, and by one."""

    def __init__(self, name: str, split: Split, committed: params.Params, folder: Path, **changes: Any) -> None:
        task = load_task(name)
        config = task.config.model_validate({**committed.sections[name].model_dump(), **changes}, strict=False)
        assert isinstance(config, TrainingConfig)
        self.name, self.config, self.split, self.folder = name, config, split, folder
        if isinstance(config, PretrainedConfig):
            (folder / "features").mkdir()
            features.make(task, config, split, {}, folder / "features")
            if (folder / "features/split.json").exists():
                self.split = open_split(folder / "features")

    @property
    def published(self) -> Path:
        return self.folder / "weights"

    def by_two(self, pool: Pool) -> Epochs:
        told = (str(self.folder / "store"), self.name, self.config.model_dump_json(), self.split.folder, self.published)
        own, other = pool.starmap(_worker, [(rank, *told) for rank in (0, 1)], chunksize=1)
        assert own[0]["loss"] == other[0]["loss"], "all workers know the epoch's loss, over all examples"
        return own

    def by_one(self) -> Epochs:
        return _epochs(self.name, self.config, self.split, self.published)


def same(one: Epochs, two: Epochs) -> None:
    assert len(one) == len(two)
    for key in ("loss", "validation_loss", "gradient_norm"):
        assert [e[key] for e in two] == pytest.approx([e[key] for e in one], rel=1e-4), key


@pytest.mark.parametrize(
    ("name", "data", "changes"),
    [
        # 800 examples in batches of 48 end with a short batch.
        ("cnn", "mnist", {"dropout": 0.0, "epochs": 1, "batch_size": 48}),
        ("autoencoder", "mnist", {**EXACT, "batch_size": 48}),
        ("lstm", "reviews", {**EXACT, "dropout": 0.0, "embedding_dropout": 0.0, "batch_size": 24}),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_two_workers_average_gradients_as_one_has_them(
    name: str,
    data: str,
    changes: dict[str, Any],
    made_splits: Callable[[str], Split],
    committed: params.Params,
    tmp_path: Path,
    two: Pool,
) -> None:
    trainings = Trainings(name, made_splits(data), committed, tmp_path, **changes)
    same(trainings.by_one(), trainings.by_two(two))


def test_ssd_learns_on_two(
    made_splits: Callable[[str], Split], committed: params.Params, tmp_path: Path, two: Pool
) -> None:
    trainings = Trainings("ssd", made_splits("voc"), committed, tmp_path, pretrained=False, epochs=2)
    first, second = trainings.by_two(two)
    assert second["loss"] < first["loss"]


def test_word2vec_learns_on_two(
    made_splits: Callable[[str], Split], committed: params.Params, tmp_path: Path, two: Pool
) -> None:
    trainings = Trainings("word2vec", made_splits("reviews"), committed, tmp_path, epochs=3, subsample=0.1)
    found = trainings.by_two(two)
    assert found[-1]["validation_loss"] < found[0]["validation_loss"]
