"""Fashion-MNIST: drawn garments without a network, and the real files from wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from components import params
from components.data import garment_samples
from components.data.download import download
from components.data.loaders import Split
from components.datasets import fashion
from components.params import UserError
from tests.conftest import with_source


def test_made_garments_are_ten_classes_in_equal_shares(made_splits: Callable[[str], Split]) -> None:
    split = made_splits("fashion")
    assert split.classes == fashion.GARMENTS
    assert split.arrays["inputs"].shape == (1200, 1, 28, 28)
    assert np.bincount(split.arrays["targets"]).tolist() == [120] * 10


@pytest.mark.slow
def test_made_garments_are_the_same_every_time_and_can_be_told_apart() -> None:
    one, other = (garment_samples.garments(train=400, test=100, seed=0) for _ in range(2))
    for part in ("train", "t10k"):
        assert np.array_equal(one[part][0], other[part][0])
    learned = LogisticRegression(max_iter=200).fit(one["train"][0].reshape(400, -1) / 255, one["train"][1])
    assert 0.5 < learned.score(one["t10k"][0].reshape(100, -1) / 255, one["t10k"][1]) <= 1


def test_files_that_are_not_the_published_ones_are_refused(committed: params.Params, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    fashion.make(tmp_path / "own")
    with pytest.raises(UserError, match="md5"):
        download("fashion", with_source(committed, "fashion", str(tmp_path / "own")), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_an_unknown_source_names_the_known_ones(committed: params.Params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fashion\.source: .*nowhere"):
        download("fashion", with_source(committed, "fashion", str(tmp_path / "nowhere")), tmp_path / "raw")
