"""The benches that other machines run: a GPU's, small and on the CPU, and what the peers' is computed by."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench.gpu import FAMILIES
from bench.peers.__main__ import to_goal
from bench.peers.programs import BATCHES, Epochs, buckets
from bench.recipes import changes
from tests.conftest import REPO


@pytest.mark.slow
def test_the_gpus_bench_runs_small_on_the_cpu_and_prints_a_row_for_each_model() -> None:
    command = ["bench.gpu", "--device", "cpu", "--examples", "512", "--epochs", "2", "--ways", "eager"]
    done = subprocess.run([sys.executable, "-m", *command], cwd=REPO, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if " | eager | " in line]
    assert [row[0].strip("| ") for row in rows] == list(FAMILIES)
    assert all(float(row[3]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "there is no nosuch; there are: cnn,"),
        (["--epochs", "1", "--device", "cpu"], "ask for 2 or more"),
    ],
)
def test_what_the_gpus_bench_cannot_do_is_one_message(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", *arguments], cwd=REPO, text=True, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_bench_of_gpus_imports_nothing_but_torch_and_numpy() -> None:
    code = (
        "import sys, bench.gpu; "
        "print(*{name.split('.')[0] for name in sys.modules} & {'components', 'pydantic', 'pandas', 'ray', 'timm'})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True, check=True)
    assert done.stdout.split() == []


def test_an_accuracys_time_is_that_of_the_first_epoch_that_reaches_it() -> None:
    assert to_goal(Epochs([2.0, 1.0, 1.0], [0.5, 0.97, 0.96]), 0.965) == 3.0
    assert to_goal(Epochs([2.0], [0.5]), 0.965) is None


@pytest.mark.parametrize("shuffled", [True, False])
def test_buckets_hold_every_text_once_and_texts_of_about_one_length(shuffled: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 1000)
    texts = (np.arange(50) < lengths[:, None]).astype(np.int32)
    found = list(buckets(texts, shuffled))
    assert sorted(np.concatenate(found)) == list(range(1000))
    assert max(map(len, found)) == BATCHES["lstm"]
    assert max(int(np.ptp(lengths[rows])) for rows in found) < 10


def test_a_recipe_is_pairs_of_keys_and_values_as_yaml_reads_them() -> None:
    assert changes("dense=[64,32] dropout=0.3 batch_norm=true schedule=cosine") == {
        "dense": [64, 32], "dropout": 0.3, "batch_norm": True, "schedule": "cosine"
    }  # fmt: skip
    assert changes("") == {}
