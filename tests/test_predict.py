"""Asking a trained model: a line of JSON for each input, whatever the input is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from components.data.arrays import Split
from components.data.synthetic import reviews
from components.errors import UserError
from components.evaluate.evaluation import Config as Evaluation
from components.evaluate.evaluation import evaluation_of
from components.evaluate.results import results_of
from components.models import artifact
from components.models.artifact import Artifact
from components.models.pretrained import PretrainedConfig
from components.models.task import load_task, untrained
from components.models.text_batches import text_batch
from components.params import params
from components.predict import AT_ONCE, predictions, reader_for
from components.train.loop import fit
from tests.conftest import AUTOENCODERS, CPU, REPO, fewer_images


@pytest.fixture(scope="module")
def trained(
    committed: params.Params, made_splits: Callable[[str], Split], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Artifact]:
    """A model's name → the model, hardly trained, as its stage leaves it."""
    known: dict[str, Artifact] = {}

    def make(name: str) -> Artifact:
        if name not in known:
            task = load_task(name)
            changes: dict[str, Any] = {"epochs": 2}
            if issubclass(task.config, PretrainedConfig):
                changes |= {"pretrained": False}
            config = committed.sections[name].model_copy(update=changes)
            split = made_splits(config.data)  # type: ignore[attr-defined]
            spec = task.spec(config, split.spec)
            folder = tmp_path_factory.mktemp(name) / name
            if issubclass(task.config, PretrainedConfig):
                model = untrained(task, config, spec, {}).state_dict()  # type: ignore[arg-type]
                state = {"best": {"epoch": 1, "model": model}, "model": model, "history": [{"epoch": 1, "layers": {}}]}
            else:
                state = fit(task, config, split, CPU, lambda *_: None).state()  # type: ignore[arg-type]
            artifact.save(folder, task, config, spec, state)  # type: ignore[arg-type]
            known[name] = artifact.load(folder)
        return known[name]

    return make


@pytest.fixture(scope="module")
def lstm(trained: Callable[[str], Artifact]) -> Artifact:
    return trained("lstm")


def asked(model: Artifact, given: str) -> list[dict[str, Any]]:
    settings = params.load(REPO / "params.yaml")
    reader, results = reader_for(model, settings), results_of(model.task.name, evaluation_of(settings))
    found = list(predictions(model, results, reader.inputs(given)))
    json.dumps(found)
    return found


def test_a_text_gets_a_class_a_probability_and_counts_of_its_words(lstm: Artifact) -> None:
    (found,) = asked(lstm, "The plot was wonderful and the zebras were dull.")
    assert found.pop("probability") >= 0.5
    assert found.pop("class") in ("negative", "positive")
    assert found == {"input": "The plot was wonderful and the zebras were dull.", "words": 4, "unknown": 1}


def test_a_text_is_judged_as_in_the_split(lstm: Artifact, made_splits: Callable[[str], Split], tmp_path: Path) -> None:
    split = made_splits("reviews")
    with fewer_images():
        reviews.make(tmp_path)
    texts = pd.read_csv(tmp_path / reviews.FILE)["text"]
    assert len(texts) == len(split.arrays["targets"])
    (tmp_path / "texts").mkdir()
    for number, text in enumerate(texts.head(40)):
        (tmp_path / "texts" / f"{number:02}.txt").write_text(text)
    found = asked(lstm, str(tmp_path / "texts"))
    assert [Path(line["input"]).name for line in found] == [f"{n:02}.txt" for n in range(40)]
    assert len(found) > AT_ONCE
    with torch.inference_mode():
        for row, line in enumerate(found):
            surest = lstm.model(text_batch(split, np.array([row])).inputs).softmax(dim=1).max(dim=1)
            assert line["class"] == split.classes[int(surest.indices)]
            assert line["probability"] == pytest.approx(surest.values.item(), abs=1e-3)


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.jsonl", "table.parquet"])
def test_each_row_of_a_table_is_a_text(name: str, lstm: Artifact, tmp_path: Path) -> None:
    texts = ["A wonderful plot, and a dull end.", "", "The acting was gripping."]
    rows, file = pd.DataFrame({"id": [1, 2, 3], "text": texts}), tmp_path / name
    write = {
        "table.csv": lambda: rows.to_csv(file, index=False),
        "table.tsv": lambda: rows.to_csv(file, index=False, sep="\t"),
        "table.jsonl": lambda: rows.to_json(file, orient="records", lines=True),
        "table.parquet": lambda: rows.to_parquet(file),
    }
    write[name]()
    first, empty, last = asked(lstm, str(file))
    assert first == {**asked(lstm, texts[0])[0], "input": f"{file} row 1"}
    assert (empty["input"], empty["error"]) == (f"{file} row 2", "no word is left of this text")
    assert last == {**asked(lstm, texts[2])[0], "input": f"{file} row 3"}


def test_a_table_without_the_column_of_texts_is_one_message(lstm: Artifact, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("message\nfine\n")
    with pytest.raises(UserError, match=r"data\.reviews\.text_column: table\.csv has no column 'text'"):
        asked(lstm, str(tmp_path / "table.csv"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no word is left"),
        (" \n ", "no word is left"),
        ("the and of", "no word is left"),
        ("!!! <br/> ...", "no word is left"),
        ("xylophone quizzical", "knows none of its 2 words"),
        ("\ud800 \udfff", "no word is left"),
    ],
    ids=repr,
)
def test_a_text_without_a_known_word_is_an_error_of_its_own(lstm: Artifact, text: str, said: str) -> None:
    (found,) = asked(lstm, text)
    assert said in found["error"]
    assert "class" not in found


def test_bytes_that_are_no_utf_8_are_read_and_noted(lstm: Artifact, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("un café, plot wonderful".encode("cp1252"))
    (found,) = asked(lstm, str(tmp_path / "a.txt"))
    assert found["note"] == "not UTF-8, read as Windows-1252"
    assert found["words"] == 3


def test_a_megabyte_of_text_is_cut_to_what_the_model_sees(lstm: Artifact, tmp_path: Path) -> None:
    text = "The plot was wonderful. " * 45_000
    (tmp_path / "long.txt").write_text(text)
    for given in (text, str(tmp_path / "long.txt")):
        (found,) = asked(lstm, given)
        assert found["words"] == 400
        assert len(found["input"]) < 200


def test_utf_16_is_read_and_other_bytes_are_an_error(lstm: Artifact, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plot wonderful", encoding="utf-16")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\x00\x00plot")
    assert asked(lstm, str(tmp_path / "a.txt"))[0]["note"] == "UTF-16"
    assert asked(lstm, str(tmp_path / "b.png"))[0]["error"] == "no text, but other bytes"


def test_word2vec_tells_the_nearest_words_of_each(trained: Callable[[str], Artifact]) -> None:
    (found,) = asked(trained("word2vec"), "plot wonderful zebra plot")
    assert list(found["nearest"]) == ["plot", "wonderful"]
    assert all(len(near) == 5 and "plot" not in near for near in [found["nearest"]["plot"]])
    assert (found["words"], found["unknown"]) == (4, 1)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A folder with a colour, a grey and a broken image."""
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(random.integers(0, 255, (28, 28), dtype=np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    return tmp_path


KEYS = {
    "cnn": {"class", "probability"},
    "transfer": {"class", "probability"},
    "detection": {"class", "probability", "box"},
    "sliding_window": {"objects"},
    "ssd": {"objects"},
}


@pytest.mark.parametrize("name", [n if n == "cnn" else pytest.param(n, marks=pytest.mark.slow) for n in KEYS])
def test_every_family_of_images_tells_of_a_folder(
    name: str, trained: Callable[[str], Artifact], image_folder: Path
) -> None:
    first, second, third = asked(trained(name), str(image_folder))
    assert set(first) == {"input", *KEYS[name]}
    assert set(second) == {"input", "note", *KEYS[name]}
    assert third == {"input": str(image_folder / "c.png"), "error": "not an image: not an image of a known format"}
    for box in [own["box"] for own in [first, *first.get("objects", [])] if "box" in own]:
        assert all(0 <= edge <= 1 for edge in box)
        assert box[0] <= box[2]
        assert box[1] <= box[3]


def test_a_digit_in_a_file_is_what_it_is_in_the_split(
    trained: Callable[[str], Artifact], made_split: Split, tmp_path: Path
) -> None:
    model = trained("cnn")
    rows = made_split.rows["test"][:10]
    images = made_split.arrays["inputs"][rows]
    for number, image in enumerate(images):
        Image.fromarray(np.asarray(image[0])).save(tmp_path / f"{number}.png")
    with torch.inference_mode():
        expected = model.model(torch.from_numpy(images.copy()).float() / 255).argmax(dim=1).tolist()
    assert [line["class"] for line in asked(model, str(tmp_path))] == [made_split.classes[n] for n in expected]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["detection", "sliding_window", "ssd"])
def test_an_image_in_a_file_is_what_it_is_in_the_split(
    name: str,
    trained: Callable[[str], Artifact],
    made_splits: Callable[[str], Split],
    evaluation: Evaluation,
    tmp_path: Path,
) -> None:
    model, split = trained(name), made_splits("voc")
    image = np.asarray(split.arrays["inputs"][split.rows["test"][0]])
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "scene.png")
    inputs = torch.from_numpy(image[None].copy()).float() / 255
    results = results_of(name, evaluation)
    (expected,) = results.describe(model.model, model.spec, inputs, results.predict(model.model, inputs))
    assert asked(model, str(tmp_path / "scene.png")) == [{"input": str(tmp_path / "scene.png"), **expected}]


def test_no_such_image_and_no_files_are_one_message(trained: Callable[[str], Artifact], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such image file or folder"):
        asked(trained("cnn"), str(tmp_path / "none.png"))
    for name in ("cnn", "lstm"):
        with pytest.raises(UserError, match="no files for this model"):
            asked(trained(name), str(tmp_path))


@pytest.mark.slow
def test_the_command_prints_json_lines_and_exits_with_1_if_an_input_failed(lstm: Artifact, tmp_path: Path) -> None:
    values = (REPO / "params.yaml").read_text().replace("models: data/models", f"models: {lstm.folder.parent}")
    (tmp_path / "params.yaml").write_text(values)

    def run(*arguments: str | bytes, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "components.predict", *arguments]
        environment = {"PYTHONPATH": str(REPO), "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, input=given, capture_output=True, check=False)

    done = run("lstm", "-", given=b"a wonderful plot\n\nun caf\xe9 dull\n")
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [line["input"] for line in lines] == ["line 1", "line 2", "line 3"]
    assert "class" in lines[0]
    assert "error" in lines[1]
    assert "note" in lines[2]
    assert done.returncode == 1
    assert done.stderr.decode() == "error: 1 of the inputs could not be used; their lines say why\n"
    assert run("lstm", "a wonderful plot").returncode == 0
    raw = run("lstm", b"wonderful caf\xe9 plot")
    assert json.loads(raw.stdout)["note"] == "not UTF-8, read as Windows-1252"
    (tmp_path / "many.txt").write_text("a wonderful plot\n" * 5000)
    left = subprocess.run(
        f"{sys.executable} -m components.predict lstm - < many.txt | head -1",
        shell=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPO), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    assert left.stderr == b""
    absent = run("cnn", "x.png")
    assert absent.returncode == 2
    assert "dvc repro" in absent.stderr.decode()
    assert "Traceback" not in absent.stderr.decode()


@pytest.mark.parametrize("name", [*AUTOENCODERS, "cnn"])
def test_what_a_model_says_is_not_taken_for_a_fault_of_its_input(
    name: str, trained: Callable[[str], Artifact], tmp_path: Path
) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    (found,) = asked(trained(name), str(tmp_path / "a.png"))
    assert "error" not in found
    assert name != "autoencoder" or found["reconstruction_error"] >= 0
