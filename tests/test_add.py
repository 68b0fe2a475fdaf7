"""Entries are written, taken out and renamed by a command each, and nothing is half done."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.add import add_data, add_model, values_of
from components.entries import lock_lines
from components.entries.names import PIPELINE
from components.errors import UserError
from components.models.artifact_files import WEIGHTS
from components.params import params
from components.remove import remove
from components.rename import rename
from flows import workspace
from tests.conftest import Project


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, which the test works in."""
    folder = Project(tmp_path / "project").folder
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of ten images of 40 x 30."""
    for name in ("ant", "bee", "fly"):
        for number in range(10):
            file = tmp_path / "photos" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (number, 0, 0)).save(file)
    return tmp_path / "photos"


def add(name: str, source: str, **keys: Any) -> list[str]:
    return add_data(name, source, keys, params.load())


def test_images_are_looked_at_and_written(here: Path, photos: Path) -> None:
    said = add("insects", "../photos")
    assert said[0] == f"images, from {photos}"
    assert "30 examples of 3 classes: ant (10), bee (10), fly (10)" in said
    assert "sizes: 40 x 30 pixels" in said
    assert params.load().entry("data", "insects").model_dump(include={"kind", "source", "side"}) == {
        "kind": "images", "source": str(photos), "side": 32
    }  # fmt: skip


def test_a_folder_in_the_project_is_written_as_it_lies_there(here: Path, photos: Path) -> None:
    photos.rename(here / "own")
    add("insects", str(here / "own"), side=16)
    entry = params.load().entry("data", "insects")
    assert (entry.source, entry.side) == ("own", 16)


def test_the_columns_of_a_table_are_found_by_their_names(here: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"Message": [f"good text{n} again" for n in range(30)], "category": ["a", "b", "c"] * 10})
    table.to_csv(tmp_path / "sms.csv", index=False, sep=";")
    said = add("sms", str(tmp_path / "sms.csv"))
    assert "30 examples of 3 classes: a (10), b (10), c (10)" in said
    entry = params.load().entry("data", "sms")
    assert (entry.kind, entry.text_column, entry.label_column) == ("texts", "Message", "category")


def test_a_table_of_images_is_images(here: Path, photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    for number, file in enumerate(files):
        file.rename(photos / f"{number}.png")
        file.parent.rmdir() if not any(file.parent.iterdir()) else None
    rows = {"image_id": [str(n) for n in range(30)], "species": ["ant", "bee"] * 15}
    pd.DataFrame(rows).to_csv(photos / "train.csv", index=False)
    assert "30 examples of 2 classes: ant (15), bee (15)" in add("insects", str(photos))
    entry = params.load().entry("data", "insects")
    assert (entry.kind, entry.file_column, entry.label_column) == ("images", "image_id", "species")


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    """The folder of photos as an archive on loopback."""
    import shutil

    shutil.make_archive(str(photos.parent / "web" / "photos"), "zip", photos)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(photos.parent / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_address[1]}/photos.zip"
        serving.shutdown()


def test_a_url_becomes_a_source_file(here: Path, server: str) -> None:
    add("insects", server)
    assert params.load().entry("data", "insects").source == "data/sources/insects.yaml"
    assert (here / "data/sources/insects.yaml").read_text() == f"url: '{server}'\n"
    with pytest.raises(UserError, match=r"File not found"):
        add("others", f"{server}.none")
    assert not (here / "data/sources/others.yaml").exists()


@pytest.mark.parametrize(
    ("name", "source", "keys", "said"),
    [
        ("Insects", "../photos", {}, "a name begins with a letter from a to z"),
        ("mnist", "../photos", {}, "data.mnist is there already"),
        ("cnn", "../photos", {}, "the name is taken by"),
        ("insects", "../nowhere", {}, "'../nowhere': there is no such file or folder"),
        ("insects", "../photos/ant", {}, "no folders of images"),
        ("insects", "../photos", {"kind": "texts"}, "neither a table"),
        ("insects", "../photos", {"kind": "imags"}, "'imags' is no kind of data; did you mean images"),
        (
            "insects",
            "../photos",
            {"sides": 64},
            r"data\.insects\.sides: unknown key .* did you mean data\.insects\.side",
        ),
        ("insects", "../photos", {"side": "large"}, r"data\.insects\.side: 'large' is not allowed"),
    ],
)
def test_what_cannot_be_is_one_message_and_nothing_is_written(
    name: str, source: str, keys: dict[str, Any], said: str, here: Path, photos: Path
) -> None:
    before = (here / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=said):
        add(name, source, **keys)
    assert (here / "params.yaml").read_bytes() == before


def test_a_model_starts_from_what_its_family_needs(here: Path) -> None:
    settings = params.load()
    said = add_model("wide", "cnn", "mnist", None, values_of(["dense=[512, 64]", "dropout=0.1"]), settings)
    assert "  wide: {family: cnn, data: mnist, start: none, dense: [512, 64], dropout: 0.1}" in said
    assert add_model("photos", "transfer", "flowers", None, {}, params.load())
    assert params.load().entry("models", "photos").start == "efficientnet_lite0"


@pytest.mark.parametrize(
    ("family", "data", "said"),
    [
        ("cnm", "mnist", "'cnm' is no family; did you mean cnn"),
        ("cnn", "minst", "models.other.data: 'minst' is no data set; did you mean mnist"),
        ("lstm", "mnist", "models.other.data: mnist has the kind digits; lstm takes texts"),
    ],
)
def test_a_model_that_cannot_be_is_one_message(family: str, data: str, said: str, here: Path) -> None:
    before = (here / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=said):
        (add_model("other", family, data, None, {}, params.load()))
    assert (here / "params.yaml").read_bytes() == before


def test_the_lock_that_is_held_is_the_flows_own() -> None:
    assert PIPELINE == workspace.LOCK


LOCK = """schema: '2.0'
stages:
  split@mnist:
    cmd: python -m components.data.split mnist
    deps:
    - path: data/code/split/mnist
      hash: md5
      md5: aaaa
    params:
      params.yaml:
        data.mnist:
          kind: digits
          source: data/sources/mnist.yaml
    outs:
    - path: data/split/mnist
      hash: md5
  train@cnn:
    cmd: python -m components.train cnn
    deps:
    - path: data/split/mnist
    params:
      params.yaml:
        models.cnn:
          family: cnn
          data: mnist
          start: none
    outs:
    - path: data/models/cnn
  evaluate@cnn:
    cmd: python -m components.evaluate cnn
    outs:
    - path: data/metrics/cnn.json
"""


def test_lines_of_the_lock_are_renamed_where_they_name_the_entry(here: Path) -> None:
    lock, paths = here / "dvc.lock", params.load().paths
    lock.write_text(LOCK)
    lock_lines.renamed("mnist", "digits", paths, lock)
    expected = LOCK.replace("mnist", "digits").replace("sources/digits.yaml", "sources/mnist.yaml")
    assert lock.read_text() == expected
    lock_lines.renamed("digits", "mnist", paths, lock)
    lock_lines.renamed("cnn", "net", paths, lock)
    assert lock.read_text() == LOCK.replace("cnn", "net").replace("family: net", "family: cnn")


def test_an_entry_goes_with_its_outputs_and_its_lines(here: Path) -> None:
    (here / "dvc.lock").write_text(LOCK)
    made = ["models/cnn/model.safetensors", "metrics/cnn.json", "curves/cnn.csv", "sweeps/cnn/trials.csv"]
    for name in (*made, "models/vae/model.safetensors"):
        (here / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "data" / name).write_text("made")
    (here / ".runs/train@cnn").mkdir(parents=True)
    said = remove("cnn", params.load())
    assert said[0] == "model cnn: taken out of params.yaml"
    assert "cnn" not in params.load().groups["models"]
    assert "cnn" not in params.load().general.sweep
    assert not any((here / "data" / name).exists() for name in made)
    assert not (here / ".runs/train@cnn").exists()
    assert (here / "data/models/vae/model.safetensors").exists()
    assert (here / "dvc.lock").read_text() == LOCK[: LOCK.index("  train@cnn")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnist", r"data\.mnist is named by models\.cnn\.data, .*studies\.anomaly\.data; remove these first"),
        ("word2vec", r"models\.word2vec is named by models\.lstm\.start"),
        ("cnm", "'cnm' is no entry of params.yaml; did you mean cnn"),
    ],
)
def test_what_others_name_is_not_removed(name: str, said: str, here: Path) -> None:
    with pytest.raises(UserError, match=said):
        remove(name, params.load())


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("vae", r"models\.vae is there already"),
        ("mnist", "the name is taken by data\\.mnist"),
        ("Net", "a name begins with a letter"),
        ("none", "no name to choose"),
    ],
)
def test_a_name_that_cannot_be_changes_nothing(new: str, said: str, here: Path) -> None:
    before = (here / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=said):
        rename("cnn", new, params.load())
    assert (here / "params.yaml").read_bytes() == before


def test_a_promoted_model_keeps_its_name_and_that_is_said(here: Path) -> None:
    """Of a model that DVC has made nothing of yet, so that no stage has to be told."""
    weights = here / "data/models/promoted/cnn" / WEIGHTS
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    record = {"cnn": {"metric": "accuracy", "sha256": hashlib.sha256(b"weights").hexdigest()}}
    (here / "data/models/promoted.json").write_text(json.dumps(record))
    said = rename("cnn", "net", params.load())
    assert said[0] == "model cnn is net now"
    assert "the promoted cnn keeps its name" in said[1]
    assert params.load().entry("models", "net").family == "cnn"


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.timeout(600)
def test_a_renamed_data_set_and_model_are_not_made_again(project: Project) -> None:
    project.change(cnn__epochs=1)
    assert project.run("dvc", "repro", "evaluate@cnn").returncode == 0
    weights = (project.folder / "data/models/cnn/model.safetensors").read_bytes()
    for old, new in (("cnn", "net"), ("mnist", "own_digits")):
        done = project.run("components.rename", old, new)
        assert done.returncode == 0, done.stdout
    done = project.run("dvc", "repro", "evaluate@net")
    ran = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'evaluate@net':"]
    assert (project.folder / "data/models/net/model.safetensors").read_bytes() == weights
    assert np.load(project.folder / "data/split/own_digits/train.npy").size
    asked = project.run("components.data.split", "own_digits")
    assert asked.returncode == 0, asked.stdout
    removed = project.run("components.remove", "net")
    assert removed.returncode == 0, removed.stdout
    assert not (project.folder / "data/models/net").exists()
