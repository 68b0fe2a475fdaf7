"""transfer on the encoder of an autoencoder of the same pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from components.data.arrays import DataSpec, Split, open_split
from components.errors import UserError
from components.models import artifact
from components.models.artifact_files import WEIGHTS
from components.models.families import autoencoder, transfer
from components.models.task import load_task
from components.params import params
from components.prepare.features import make
from components.prepare.weights import check_watched, load_weights, prepare
from components.train.loop import fit
from tests.conftest import CPU, REPO, Project

NAME = "encoder_1x28x28_100_30"
KEYS = {"data": "mnist", "backbone": NAME, "weights": "autoencoder", "dense": [], "epochs": 3}


@pytest.fixture(scope="module")
def models(committed: params.Params, made_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: an autoencoder of digits, and a CNN."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("autoencoder", "cnn"):
        config = committed.sections[name].model_copy(update={"epochs": 1})
        assert isinstance(config, load_task(name).config)
        state = fit(load_task(name), config, made_split, CPU, lambda *_: None).state()
        artifact.save(folder / name, load_task(name), config, made_split.spec, state)
    return folder


def section(committed: params.Params, **changes: object) -> transfer.Config:
    values = {**committed.sections["transfer"].model_dump(), **KEYS, **changes}
    return transfer.Config.model_validate(values, strict=False)


def test_the_encoders_weights_are_what_transfer_starts_from(
    committed: params.Params, models: Path, made_split: Split, tmp_path: Path
) -> None:
    config = section(committed)
    prepare("transfer", config, tmp_path / "weights", models)
    weights = load_weights(tmp_path / "weights")
    model = transfer.build(config, made_split.spec)
    model.start(weights)
    trained = artifact.load(models / "autoencoder").model
    assert isinstance(trained, autoencoder.Autoencoder)
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(model.backbone(images), trained.encoder(images))


def test_codes_are_stored_and_the_model_that_is_kept_takes_images(
    committed: params.Params, models: Path, made_split: Split, tmp_path: Path
) -> None:
    config = section(committed, frozen_precision="float32")
    prepare("transfer", config, tmp_path / "weights", models)
    weights = load_weights(tmp_path / "weights")
    make(transfer.TASK, config, made_split, weights, tmp_path / "features")
    stored = open_split(tmp_path / "features")
    assert stored.arrays["inputs"].shape[1:] == (30,)
    training = fit(transfer.TASK, config, stored, CPU, lambda *_: None, weights=weights)
    artifact.save(tmp_path / "model", transfer.TASK, config, stored.spec, training.state(), weights)
    kept = load_file(tmp_path / "model" / WEIGHTS)
    assert torch.equal(kept["backbone.net.1.weight"], weights["1.weight"])
    assert artifact.load(tmp_path / "model").model(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_another_encoder_than_the_models_names_the_right_one(
    committed: params.Params, models: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"set transfer\.backbone: {NAME}"):
        prepare("transfer", section(committed, backbone="encoder_1x28x28_50"), tmp_path / "weights", models)
    assert not (tmp_path / "weights").exists()


def test_a_model_without_an_encoder_has_no_weights_to_give(
    committed: params.Params, models: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="the model cnn has no encoder"):
        prepare("transfer", section(committed, weights="cnn"), tmp_path / "weights", models)


def test_images_that_the_encoder_does_not_take_are_refused(committed: params.Params) -> None:
    with pytest.raises(UserError, match=r"takes images of shape \(1, 28, 28\)"):
        transfer.build(section(committed), DataSpec((3, 180, 180), ("a", "b")))


@pytest.mark.parametrize("name", ["detection", "ssd"])
def test_a_detector_needs_maps_which_an_encoder_has_not(name: str, committed: params.Params) -> None:
    task = load_task(name)
    config = committed.sections[name].model_copy(update={"backbone": "encoder_3x64x64_30"})
    with pytest.raises(UserError, match=rf"{name}\.backbone: .* maps"):
        task.build(config, DataSpec((3, 64, 64), ("a", "b")))


def test_without_its_line_in_dvc_yaml_it_is_refused_so_that_nothing_stale_is_used(committed: params.Params) -> None:
    with pytest.raises(UserError, match=r'transfer: "\$\{paths\.models\}/\$\{transfer\.weights\}"'):
        check_watched("transfer", section(committed), REPO / "dvc.yaml")
    check_watched("transfer", section(committed, weights="wheel"), REPO / "dvc.yaml")


@pytest.mark.slow
@pytest.mark.processes
def test_dvc_trains_the_autoencoder_first(project: Project) -> None:
    project.change(transfer__data="mnist", transfer__backbone=NAME, transfer__weights="autoencoder")
    project.change(autoencoder__epochs=1)
    refused = project.run("dvc", "repro", "weights@transfer")
    assert "so that DVC trains it first" in refused.stdout
    file = project.folder / "dvc.yaml"
    line = '      transfer: "${paths.code}/weights/transfer"\n'
    assert line in file.read_text()
    file.write_text(file.read_text().replace(line, '      transfer: "${paths.models}/${transfer.weights}"\n'))
    done = project.run("dvc", "repro", "weights@transfer")
    assert done.returncode == 0, done.stdout
    assert done.stdout.index("'train@autoencoder'") < done.stdout.index("'weights@transfer'")
    project.change(autoencoder__seed=1)
    again = project.run("dvc", "repro", "--dry", "weights@transfer")
    assert "Running stage 'train@autoencoder'" in again.stdout
