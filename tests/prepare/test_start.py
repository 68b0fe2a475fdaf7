"""A model that starts from another one of the same pipeline, and what is prepared for its training."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components import made_once
from components.data.arrays import DataSpec, Split, open_split
from components.errors import UserError
from components.models import artifact
from components.models.artifact_files import WEIGHTS
from components.models.families import autoencoder, transfer
from components.models.task import load_task, untrained
from components.params import params
from components.params.declarations import config_of
from components.prepare.stage import prepare, training_split
from components.prepare.start import NOTE, resolved, taken_from_model, weights_folder
from components.prepare.weights import load_weights
from components.train.loop import fit
from tests.conftest import CPU, Project

Own = Callable[..., params.Params]


@pytest.fixture
def own(committed: params.Params, made_split: Split, tmp_path: Path) -> Own:
    """params.yaml's values with models of one's own in it; what the stages leave lies in a folder of the test's."""
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "mnist").symlink_to(made_split.folder)
    (tmp_path / "models" / "none").mkdir(parents=True)
    (tmp_path / "models" / "none" / "weights.json").write_text("{}")
    places = {name: str(tmp_path / name) for name in ("code", "split", "models", "prepared", "runs")}
    general = committed.general.model_copy(update={"paths": committed.paths.model_copy(update=places)})

    def settings(**models: dict[str, Any]) -> params.Params:
        entries = {
            name: config_of("components.models.families", values["family"])
            .model_validate({"data": "mnist", "start": "none", "epochs": 1, **values}, strict=False)
            .at(f"models.{name}")
            for name, values in models.items()
        }
        groups = {**committed.groups, "models": tuple(entries)}
        return replace(committed, general=general, sections={**committed.sections, **entries}, groups=groups)

    return settings


def train(settings: params.Params, name: str) -> artifact.Artifact:
    """As the stages do it, without checkpoints."""
    prepare(name, settings)
    config = resolved(settings, name)
    task, split = load_task(config.family, name), training_split(settings.paths, name, config)
    weights = load_weights(weights_folder(settings, name))
    state = fit(task, config, split, CPU, lambda *_: None, weights=weights).state()
    folder = Path(settings.paths.models) / name
    artifact.save(folder, task, config, split.spec, state, weights)
    return artifact.load(folder)


ENCODER = {"family": "autoencoder"}
ON_IT = {"family": "transfer", "start": "own_encoder", "dense": [], "frozen_precision": "float32"}


def test_transfer_starts_from_an_autoencoders_encoder_whose_shape_nobody_has_to_name(own: Own) -> None:
    settings = own(own_encoder=ENCODER, reader=ON_IT)
    given = train(settings, "own_encoder").model
    assert isinstance(given, autoencoder.Autoencoder)
    config = resolved(settings, "reader")
    assert isinstance(config, transfer.Config)
    assert config.backbone == "encoder_1x28x28_100_30"
    split = open_split(Path(settings.paths.split) / "mnist")
    model = transfer.build(config, split.spec)
    model.start(dict(taken_from_model(transfer.TASK, config, split, Path(settings.paths.models))))
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(model.backbone(images), given.encoder(images))


def test_codes_are_stored_and_the_model_that_is_kept_takes_images(own: Own) -> None:
    settings = own(own_encoder=ENCODER, reader=ON_IT)
    train(settings, "own_encoder")
    reader = train(settings, "reader")
    stored = open_split(Path(settings.paths.prepared) / "reader")
    assert stored.arrays["inputs"].shape[1:] == (30,)
    kept, prepared = load_file(reader.folder / WEIGHTS), load_weights(weights_folder(settings, "reader"))
    assert torch.equal(kept["backbone.net.1.weight"], prepared["1.weight"])
    assert reader.model(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_a_model_that_starts_from_one_of_its_family_begins_with_its_weights(own: Own) -> None:
    settings = own(first={"family": "cnn"}, second={"family": "cnn", "start": "first", "seed": 7})
    first = train(settings, "first")
    prepare("second", settings)
    weights = load_weights(weights_folder(settings, "second"))
    config = resolved(settings, "second")
    begun = untrained(load_task("cnn", "second"), config, first.spec, weights)
    assert all(torch.equal(begun.state_dict()[name], weight) for name, weight in first.model.state_dict().items())
    second = train(settings, "second")
    assert second.task.name == "second"
    assert second.config == config


def test_a_transfer_that_starts_from_another_goes_on_with_its_head(own: Own) -> None:
    again = {**ON_IT, "start": "reader"}
    settings = own(own_encoder=ENCODER, reader=ON_IT, again=again)
    train(settings, "own_encoder")
    reader = train(settings, "reader")
    prepare("again", settings)
    config = resolved(settings, "again")
    weights = load_weights(weights_folder(settings, "again"))
    begun = untrained(load_task("transfer", "again"), config, reader.spec, weights)
    assert torch.equal(begun.state_dict()["head.1.weight"], reader.model.state_dict()["head.1.weight"])


def test_data_of_another_shape_than_the_model_that_it_starts_from_had_are_refused(own: Own) -> None:
    settings = own(first={"family": "cnn"}, second={"family": "cnn", "start": "first"})
    first = train(settings, "first")
    weights, config = first.model.state_dict(), settings.entry("models", "second")
    with pytest.raises(UserError, match=r"second\.start: classifier\.\d\.weight has the shape .* same layers"):
        untrained(load_task("cnn", "second"), config, DataSpec((1, 32, 32), ("a", "b")), weights)


def test_a_start_that_is_not_trained_yet_is_one_message(own: Own) -> None:
    settings = own(own_encoder=ENCODER, reader=ON_IT)
    with pytest.raises(UserError, match="own_encoder: no trained model here; `dvc repro` trains it"):
        prepare("reader", settings)


def test_images_that_the_encoder_does_not_take_are_refused(own: Own) -> None:
    settings = own(own_encoder=ENCODER, reader=ON_IT)
    train(settings, "own_encoder")
    config = resolved(settings, "reader")
    with pytest.raises(UserError, match=r"models\.reader\.start: own_encoder takes images of shape \(1, 28, 28\)"):
        transfer.build(config, DataSpec((3, 180, 180), ("a", "b")))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["detection", "ssd"])
def test_a_detector_needs_maps_which_an_encoder_has_not(name: str, committed: params.Params) -> None:
    task = load_task(name)
    config = committed.sections[name].model_copy(update={"backbone": "encoder_3x64x64_30"})
    with pytest.raises(UserError, match=rf"{name}\.start: .* maps"):
        task.build(config, DataSpec((3, 64, 64), ("a", "b")))


def test_a_model_that_trains_on_the_split_has_a_note_and_nothing_else(own: Own) -> None:
    settings = own(plain={"family": "cnn"})
    prepare("plain", settings)
    assert [file.name for file in (Path(settings.paths.prepared) / "plain").iterdir()] == [NOTE]


def test_what_was_prepared_of_another_split_is_not_trained_on(own: Own) -> None:
    settings = own(own_encoder=ENCODER, reader=ON_IT)
    train(settings, "own_encoder")
    prepare("reader", settings)
    note = Path(settings.paths.prepared) / "reader" / NOTE
    note.write_text(json.dumps({**json.loads(note.read_text()), "split": "other"}))
    with pytest.raises(UserError, match="made of another split; `dvc repro`"):
        training_split(settings.paths, "reader", settings.entry("models", "reader"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[Path]]:
    """Keep a folder's files as DVC's cache does when its stage has ended; where they are."""
    monkeypatch.setattr(made_once, "cache_folder", lambda: tmp_path / "cache")

    def keep(folder: Path) -> list[Path]:
        kept = []
        for file in folder.iterdir():
            digest = hashlib.md5(file.read_bytes()).hexdigest()
            kept.append(tmp_path / "cache" / "files/md5" / digest[:2] / digest[2:])
            kept[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, kept[-1])
        return kept

    return keep


def test_another_dropout_prepares_nothing_again_and_leaves_what_is_there_as_it_was(
    own: Own, cache: Callable[[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = own(own_encoder=ENCODER, reader=ON_IT)
    train(settings, "own_encoder")
    prepare("reader", settings)
    folder = Path(settings.paths.prepared) / "reader"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    cache(folder)
    shutil.rmtree(folder)  # as DVC does before it runs a stage again
    capsys.readouterr()
    prepare("reader", own(own_encoder=ENCODER, reader={**ON_IT, "dropout": 0.1, "seed": 3}))
    assert capsys.readouterr().out == "reader: as it was prepared before\n"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    prepare("reader", own(own_encoder=ENCODER, reader={**ON_IT, "freeze": 1}))
    assert "as it was prepared before" not in capsys.readouterr().out


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"turned")])
def test_what_the_cache_lacks_or_has_damaged_is_made_anew(
    damage: Callable[[Path], object], own: Own, cache: Callable[[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = own(own_encoder=ENCODER, reader=ON_IT)
    train(settings, "own_encoder")
    prepare("reader", settings)
    folder = Path(settings.paths.prepared) / "reader"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    damage(max(cache(folder), key=lambda file: file.stat().st_size))
    capsys.readouterr()
    prepare("reader", settings)
    assert "as it was prepared before" not in capsys.readouterr().out
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


LIKE_CNN = {"filters": [4, 1], "pooling": "last", "batch_norm": False}  # the layers of params.yaml's `cnn`


@pytest.mark.slow
@pytest.mark.processes
def test_dvc_trains_what_a_model_starts_from_first(project: Project) -> None:
    project.change(models__wide={"family": "cnn", "data": "mnist", "start": "cnn", "epochs": 1, **LIKE_CNN})
    project.change(models__reader={"family": "transfer", "data": "mnist", "start": "autoencoder", "epochs": 1})
    project.change(autoencoder__epochs=1)
    done = project.run("dvc", "repro", "evaluate@wide", "evaluate@reader")
    assert done.returncode == 0, done.stdout
    for first, second in (("train@cnn", "prepare@wide"), ("train@autoencoder", "prepare@reader")):
        assert done.stdout.index(f"'{first}'") < done.stdout.index(f"'{second}'")
    assert "reader on the test subset: accuracy" in done.stdout
    project.change(autoencoder__seed=1)
    again = project.run("dvc", "repro", "--dry", "evaluate@reader")
    assert "Running stage 'train@autoencoder'" in again.stdout
