"""Digits and what is stored like them: drawn garments, and sets of one's own in IDX files."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from components.data.arrays import Split
from components.data.download import download
from components.data.kinds import digits
from components.data.synthetic import garments
from components.errors import UserError
from components.params import params
from tests.conftest import split_of, with_source


def test_synthetic_garments_are_ten_classes_in_equal_fractions(made_splits: Callable[[str], Split]) -> None:
    split = made_splits("fashion")
    assert len(split.classes) == 10
    assert split.arrays["inputs"].shape == (1200, 1, 28, 28)
    assert np.bincount(split.arrays["targets"]).tolist() == [120] * 10


@pytest.mark.slow
def test_synthetic_garments_are_the_same_every_time_and_can_be_told_apart() -> None:
    one, other = (garments.garments(train=400, test=100, seed=0) for _ in range(2))
    for part in ("train", "t10k"):
        assert np.array_equal(one[part][0], other[part][0])
    learned = LogisticRegression(max_iter=200).fit(one["train"][0].reshape(400, -1) / 255, one["train"][1])
    assert 0.5 < learned.score(one["t10k"][0].reshape(100, -1) / 255, one["t10k"][1]) <= 1


def written(folder: Path, images: np.ndarray, labels: np.ndarray, part: str = "train", **called: str) -> None:
    """One part of a set in IDX files, as its publisher calls and packs them."""
    folder.mkdir(exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        name = f"{part}-{kind}-ubyte.gz"
        content = header + array.astype(np.uint8).tobytes()
        name = called.get(kind[:6] + "_file", name)
        (folder / name).write_bytes(gzip.compress(content, 1, mtime=7) if name.endswith(".gz") else content)


OTHER_NAMES = {
    "packed": {},
    "unpacked": {"images_file": "train-images-idx3-ubyte", "labels_file": "train-labels-idx1-ubyte"},
    "with dots": {"images_file": "train-images.idx3-ubyte", "labels_file": "train-labels.idx1-ubyte"},
    "of a larger set": {
        "images_file": "emnist-letters-train-images-idx3-ubyte.gz",
        "labels_file": "letters-train-labels-idx1-ubyte",
    },
}


@pytest.mark.parametrize("names", OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_a_set_of_ones_own_in_these_files_is_taken(
    names: dict[str, str], committed: params.Params, tmp_path: Path
) -> None:
    labels = np.tile([1, 3, 26], 10)
    written(tmp_path / "own", labels[:, None, None] * np.ones((30, 20, 16)), labels, **names)
    settings = with_source(committed, "mnist", str(tmp_path / "own"))
    download("mnist", settings, tmp_path / "raw")
    examples = digits.read(settings.sections["mnist"], tmp_path / "raw")  # type: ignore[arg-type]
    assert examples.inputs.shape == (30, 1, 20, 16)
    assert examples.classes == ("1", "3", "26")
    assert examples.targets.tolist() == [0, 1, 2] * 10
    assert (examples.inputs[:, 0, 0, 0] == labels).all()
    assert examples.subsets is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: (own / "train-labels-idx1-ubyte.gz").unlink(), "there is no train-labels-idx1-ubyte.gz in it"),
        (lambda own: (own / "train-labels-idx1-ubyte.gz").write_bytes(b"text"), "not an IDX file"),
        (
            lambda own: written(own, np.zeros((4, 2, 2)), np.arange(3)),
            "3 labels do not fit train-images-idx3-ubyte.gz, which has the shape",
        ),
        (
            lambda own: written(own, np.zeros((4, 2, 2)), np.arange(4), images_file="t10k-images-idx3-ubyte"),
            "one alone",
        ),
        (
            lambda own: written(own, np.zeros((4, 2, 2)), np.arange(4), images_file="b-train-images-idx3-ubyte"),
            "several",
        ),
        (lambda own: written(own, np.zeros((4, 2)), np.arange(4)), "with 3 axes"),
    ],
    ids=["missing", "text", "counts", "half a test subset", "two of a kind", "axes"],
)
def test_idx_files_that_do_not_fit_are_one_message(
    change: Callable[[Path], object], said: str, committed: params.Params, tmp_path: Path
) -> None:
    written(tmp_path / "own", np.zeros((4, 2, 2)), np.arange(4))
    change(tmp_path / "own")
    with pytest.raises(UserError, match=said):
        split_of("fashion", with_source(committed, "fashion", str(tmp_path / "own")), tmp_path)
    assert not (tmp_path / "preprocessed").exists()


def test_an_unknown_source_names_the_known_ones(committed: params.Params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.fashion\.source: .*nowhere"):
        download("fashion", with_source(committed, "fashion", str(tmp_path / "nowhere")), tmp_path / "raw")
