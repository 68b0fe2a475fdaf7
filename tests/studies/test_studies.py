"""What is measured on trained models: an encoder put to use, a plane of codes, and images never seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from components.data.arrays import Split
from components.errors import UserError
from components.models import artifact
from components.models.artifact import Artifact
from components.models.encoders import Encoder
from components.models.families import autoencoder
from components.models.task import TrainingConfig, load_task
from components.params import params
from components.studies import anomaly, manifold, reuse
from components.train.loop import Training, fit
from tests.conftest import CPU, MIRROR, REPO, needs_mirror, split_of, with_source

Train = Callable[[str], Artifact]


@pytest.fixture(scope="module")
def trained(
    committed: params.Params, made_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Artifact]:
    """A model's name → it, trained a little on synthetic digits."""

    def train(name: str) -> Artifact:
        folder = tmp_path_factory.mktemp("models") / name
        task = load_task(name)
        config = committed.sections[name].model_copy(update={"epochs": 10})
        assert isinstance(config, TrainingConfig)
        training = fit(task, config, made_split, CPU, lambda *_: None)
        artifact.save(folder, task, config, made_split.spec, training.state())
        return artifact.load(folder)

    found: dict[str, Artifact] = {}
    return lambda name: found[name] if name in found else found.setdefault(name, train(name))


@pytest.fixture
def few(committed: params.Params) -> reuse.Config:
    section = committed.sections["reuse"]
    assert isinstance(section, reuse.Config)
    return section.model_copy(update={"labels": (0.02, 0.1), "seeds": 1, "steps": 60})


@pytest.mark.parametrize("fraction", [0.001, 0.1, 1.0])
def test_a_fraction_of_the_labels_has_that_fraction_of_each_class_but_at_least_one(
    made_split: Split, fraction: float
) -> None:
    rows = reuse.some_of_each(made_split, fraction, seed=0)
    train = made_split.rows["train"]
    assert set(rows) <= set(train)
    counts, whole = (np.bincount(made_split.arrays["targets"][own], minlength=10) for own in (rows, train))
    assert counts.tolist() == [max(1, round(fraction * count)) for count in whole]


def test_every_training_has_about_as_many_steps(few: reuse.Config) -> None:
    for labels in (5, 32, 33, 640):
        section = reuse.head_config(few, "encoder_1x28x28_100_30", frozen=True, seed=0, labels=labels)
        steps = section.epochs * -(-labels // section.batch_size)
        assert few.steps <= steps < few.steps + -(-labels // section.batch_size)


def test_a_frozen_encoder_stays_as_it_was_and_one_from_scratch_never_was_it(
    few: reuse.Config, made_split: Split, trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = trained("autoencoder").model.encoder
    assert isinstance(encoder, Encoder)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    kept: list[Training] = []

    def remembered(*given: Any, **named: Any) -> Training:
        kept.append(fit(*given, **named))
        return kept[-1]

    monkeypatch.setattr(reuse, "fit", remembered)
    for way in reuse.WAYS:
        reuse.train(few, encoder, made_split, way, 0.1, seed=0)
    first = [training.model.get_parameter("backbone.net.1.weight") for training in kept]
    assert torch.equal(first[0], before["1.weight"])
    assert 0 < (first[1] - before["1.weight"]).norm() < (first[2] - before["1.weight"]).norm()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_the_curve_has_every_training_and_the_figures_are_those_of_the_fewest_labels(
    few: reuse.Config, made_split: Split, trained: Train, tmp_path: Path
) -> None:
    found = reuse.evaluate(few, lambda _: trained("autoencoder"), lambda _: made_split, tmp_path)
    table = pd.read_csv(tmp_path / "reuse.csv")
    assert len(table) == 2 * 3
    assert found["labels"] == table["labels"].min() == 20
    for way in reuse.WAYS:
        own = table[(table["way"] == way) & (table["fraction"] == 0.02)]
        assert found[way] == pytest.approx(own["accuracy"].median())
    assert (tmp_path / "reuse.png").stat().st_size


@needs_mirror
@pytest.mark.slow
def test_an_encoder_that_saw_no_labels_helps_where_one_in_a_hundred_has_one(
    committed: params.Params, tmp_path: Path
) -> None:
    settings = with_source(committed, "mnist", str(MIRROR / "mnist"))
    whole = split_of("mnist", settings, tmp_path)
    rows = {part: own[:count] for (part, own), count in zip(whole.rows.items(), (8000, 500, 4000), strict=True)}
    split = replace(whole, rows=rows)
    config, section = committed.sections["reuse"], committed.sections["autoencoder"].model_copy(update={"epochs": 10})
    assert isinstance(config, reuse.Config)
    assert isinstance(section, autoencoder.Config)
    encoder = fit(autoencoder.TASK, section, split, CPU, lambda *_: None).model.encoder
    assert isinstance(encoder, Encoder)
    medians = {
        way: np.median([reuse.train(config, encoder, split, way, 0.01, seed).accuracy for seed in range(3)])
        for way in ("fine_tuned", "from_scratch")
    }
    assert medians["fine_tuned"] > medians["from_scratch"] > 0.5


def test_a_model_without_an_encoder_cannot_be_reused(
    few: reuse.Config, made_split: Split, trained: Train, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"reuse\.model: .* has no encoder"):
        reuse.evaluate(few, lambda _: trained("cnn"), lambda _: made_split, tmp_path)


@pytest.mark.slow
def test_a_vae_of_two_numbers_is_drawn_whole(
    committed: params.Params, made_split: Split, trained: Train, tmp_path: Path
) -> None:
    section = committed.sections["manifold"]
    assert isinstance(section, manifold.Config)
    config = section.model_copy(update={"examples": 100, "epochs": 1, "side": 4})
    found = manifold.evaluate(config, lambda _: trained("vae"), lambda _: made_split, tmp_path)
    assert found["elbo"] == pytest.approx(-found["reconstruction"] - found["kl"], rel=1e-5)
    assert {file.name for file in tmp_path.iterdir()} == {"manifold.png", "codes.png", "tables.json"}
    with pytest.raises(UserError, match=r"manifold\.model: .* is no VAE"):
        manifold.evaluate(config, lambda _: trained("autoencoder"), lambda _: made_split, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["autoencoder", "denoising", "vae"])
def test_garments_have_larger_errors_than_digits(
    model: str, committed: params.Params, made_splits: Callable[[str], Split], trained: Train, tmp_path: Path
) -> None:
    section = committed.sections["anomaly"]
    assert isinstance(section, anomaly.Config)
    found = anomaly.evaluate(section, lambda _: trained(model), made_splits, tmp_path)
    assert 0.8 < found["roc_auc"] <= 1
    assert found["examples"] == 400
    same = section.model_copy(update={"others": "mnist"})
    assert anomaly.evaluate(same, lambda _: trained(model), made_splits, tmp_path)["roc_auc"] == pytest.approx(0.5)


def test_other_images_of_another_shape_are_refused(
    committed: params.Params, made_splits: Callable[[str], Split], trained: Train, tmp_path: Path
) -> None:
    section = committed.sections["anomaly"]
    assert isinstance(section, anomaly.Config)
    with pytest.raises(UserError, match=r"anomaly\.others: flowers has inputs of shape \(3, 180, 180\)"):
        anomaly.evaluate(
            section.model_copy(update={"others": "flowers"}), lambda _: trained("vae"), made_splits, tmp_path
        )
    with pytest.raises(UserError, match=r"anomaly\.model: .* is no autoencoder"):
        anomaly.evaluate(section, lambda _: trained("cnn"), made_splits, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "autoencodr"}, "studies.reuse.model: 'autoencodr' is no model; did you mean autoencoder?"),
        ({"labels": [0.0]}, "studies.reuse.labels.0"),
    ],
)
def test_a_wrong_section_is_named_before_anything_starts(change: dict[str, object], said: str, tmp_path: Path) -> None:
    values = YAML(typ="safe").load((REPO / "params.yaml").read_text())
    values["studies"]["reuse"] |= change
    with (tmp_path / "params.yaml").open("w") as opened:
        YAML(typ="safe").dump(values, opened)
    with pytest.raises(UserError, match=said.replace(".", r"\.").replace("?", r"\?")):
        params.load(tmp_path / "params.yaml")
