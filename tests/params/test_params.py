"""params.yaml: what is right is frozen and typed; what is wrong is one message that names every fault."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from components.errors import ParamsError
from components.params import check_cache, params
from components.params.__main__ import main
from components.params.declarations import MODELS, declared_in
from components.process.command import run
from tests.conftest import REPO, Project

COMMITTED = (REPO / "params.yaml").read_text()


Change = Callable[[str], str]


def setting(**changes: Any) -> Change:
    """Set values: setting(models__cnn__dropout=1.5); a value of None takes the key out."""

    def change(text: str) -> str:
        values = YAML(typ="safe", pure=True).load(text)
        for path, value in changes.items():
            *above, key = path.split("__")
            section = values
            for name in above:
                section = section.setdefault(name, {})
            section[key] = value
            if value is None:
                del section[key]
        out = io.StringIO()
        YAML(typ="safe", pure=True).dump(values, out)
        return out.getvalue()

    return change


WRONG: dict[str, tuple[Change, list[str]]] = {
    "a typo": (
        setting(models__cnn__droput=0.5),
        ["models.cnn.droput: unknown key", "did you mean models.cnn.dropout?"],
    ),
    "a nested typo": (setting(data__mnist__split__methd="head"), ["did you mean data.mnist.split.method?"]),
    "a wrong type": (setting(models__cnn__epochs="ten"), ["models.cnn.epochs: 'ten'", "an integer >= 1"]),
    "a number as text": (setting(models__cnn__epochs="10"), ["models.cnn.epochs: '10'"]),
    "a truth value for a number": (setting(models__cnn__epochs=True), ["models.cnn.epochs"]),
    "out of range": (setting(models__cnn__dropout=1.5), ["models.cnn.dropout: 1.5", "a number in [0, 1)"]),
    "an unknown choice": (setting(models__cnn__optimizer="adamw"), ["models.cnn.optimizer: 'adamw'", "nadam"]),
    "a list with a bad width": (setting(models__cnn__filters=[4, 0]), ["models.cnn.filters.1: 0"]),
    "not a number": (setting(models__cnn__l2=float("nan")), ["models.cnn.l2"]),
    "a missing key": (setting(models__cnn__data=None), ["models.cnn.data: missing"]),
    "a missing family": (setting(models__cnn__family=None), ["models.cnn.family: missing", "transfer"]),
    "an unknown family": (setting(models__cnn__family="cnm"), ["models.cnn.family: 'cnm' is no family", "mean cnn?"]),
    "an unknown study": (
        setting(studies__reuse__kind="reus"),
        ["studies.reuse.kind: 'reus'", "mean reuse?"],
    ),
    "a missing section": (setting(paths=None), ["paths: missing"]),
    "an unknown section": (setting(model__x=1), ["model: unknown section; did you mean models?"]),
    "a section that is a number": (setting(evaluation=3), ["evaluation: expected a section"]),
    "a group that is a list": (setting(studies=[1]), ["studies: expected entries", "{} for none"]),
    "an entry that is a number": (setting(models__cnn=3), ["models.cnn: expected an entry with family: one of"]),
    "a name with a capital": (
        setting(models__CNN={"family": "cnn", "data": "mnist", "start": "none"}),
        ["models.CNN: a name begins with a letter from a to z"],
    ),
    "a name that means something else": (
        setting(models__none={"family": "cnn", "data": "mnist", "start": "none"}),
        ["models.none: none is no name to choose"],
    ),
    "a name of two entries": (
        setting(studies__cnn={"kind": "gradient_reach", "data": "none", "model": "none", "others": "none"}),
        ["studies.cnn: the name is taken by models.cnn"],
    ),
    "a name of a data set": (
        setting(models__mnist={"family": "cnn", "data": "mnist", "start": "none"}),
        ["models.mnist: the name is taken by data.mnist"],
    ),
    "an unknown data set": (
        setting(models__cnn__data="mnits"),
        ["models.cnn.data: 'mnits' is no data set", "did you mean mnist?"],
    ),
    "no data for a model": (setting(models__cnn__data="none"), ["models.cnn.data: 'none' is no data set"]),
    "no data for a study": (setting(studies__reuse__data="none"), ["studies.reuse.data: 'none' is no data set"]),
    "a study of no model": (setting(studies__reuse__model="vea"), ["'vea' is no model", "did you mean vae?"]),
    "a start that is not there": (
        setting(models__lstm__start="word2vek"),
        ["models.lstm.start: 'word2vek' is neither a backbone nor a model", "did you mean word2vec?"],
    ),
    "a start of another kind": (
        setting(models__cnn__start="efficientnet_lite0"),
        ["models.cnn.start: a cnn cannot start from a backbone; it can from: none"],
    ),
    "a start of another family": (
        setting(models__transfer__start="word2vec"),
        ["models.transfer.start: a transfer cannot start from a word2vec", "efficientnet_lite0", "autoencoder"],
    ),
    "no start where one is needed": (
        setting(models__transfer__start="none"),
        ["models.transfer.start: a transfer cannot start from none; it can from: efficientnet_lite0"],
    ),
    "starts in a circle": (
        setting(models__autoencoder__start="denoising", models__denoising__start="autoencoder"),
        ["models.autoencoder.start: autoencoder starts from denoising starts from autoencoder, which ends nowhere"],
    ),
    "a start of another shape": (
        setting(models__lstm__embedding=50),
        ["models.lstm.embedding: 50, but word2vec, which it starts from, has dimensions: 100; make them the same"],
    ),
    "a start of a network of another shape": (
        setting(models__wide={"family": "cnn", "data": "mnist", "start": "cnn", "dense": [512]}),
        ["models.wide.dense: [512], but cnn, which it starts from, has dense: [128]"],
    ),
    "a start that the encoding has no use for": (
        setting(models__lstm__encoding="integer"),
        ["models.lstm.start: word2vec is a word2vec; with encoding: integer words have no vectors"],
    ),
    "data of a kind that the family is not for": (
        setting(models__lstm__data="mnist"),
        ["models.lstm.data: mnist has the kind digits; lstm takes texts; there are: reviews"],
    ),
    "images without boxes for a detector": (
        setting(models__ssd__data="flowers"),
        ["models.ssd.data: flowers has the kind images; ssd takes boxes; there are: voc"],
    ),
    "a baseline of texts on images": (
        setting(baselines__tfidf__data="mnist"),
        ["baselines.tfidf.data: mnist has the kind digits; tfidf takes texts"],
    ),
    "a study of a model that it is not for": (
        setting(studies__manifold__model="cnn"),
        ["studies.manifold.model: cnn has the family cnn; manifold takes vae; there are: vae"],
    ),
    "a key that the start decides": (
        setting(models__transfer__backbone="resnet18"),
        ["models.transfer.backbone: unknown key; an entry of backbones says it"],
    ),
    "a language nobody knows": (
        setting(data__reviews__steps__lemmas="xx"),
        ["steps.lemmas: 'xx'", "simplemma knows"],
    ),
    "a step that is not there": (setting(data__reviews__steps__htm=True), ["did you mean data.reviews.steps.html?"]),
    "a sweep of no model": (setting(sweep__sdd={"l2": {"uniform": [0.1, 0.2]}}), ["did you mean sweep.ssd?"]),
    "a range of no key": (
        setting(sweep__cnn__droput={"uniform": [0.2, 0.5]}),
        ["sweep.cnn.droput: the model has no such key", "did you mean dropout?"],
    ),
    "a range beyond its key's": (
        setting(sweep__cnn__dropout={"uniform": [0.2, 1.5]}),
        ["sweep.cnn.dropout: 1.5 is not allowed", "a number in [0, 1)"],
    ),
    "a range upside down": (
        setting(sweep__cnn__dropout={"uniform": [0.5, 0.2]}),
        ["sweep.cnn.dropout", "the low end, 0.5, must be less than the high end, 0.2"],
    ),
    "a range of no kind": (
        setting(sweep__cnn__dropout={"normal": [0.2, 0.5]}),
        ["sweep.cnn.dropout", "uniform, log_uniform, integers or log_integers: [low, high], or choice: [values]"],
    ),
    "fractions for a whole number": (
        setting(sweep__autoencoder__bottleneck={"uniform": [10.5, 60.5]}),
        ["sweep.autoencoder.bottleneck: 10.5 is not allowed"],
    ),
    "a logarithm of nothing": (
        setting(sweep__cnn__learning_rate={"log_uniform": [0, 0.03]}),
        ["a logarithmic range starts above 0"],
    ),
    "momentum that nothing uses": (
        setting(sweep__cnn__optimizer=None),
        ["sweep.cnn.momentum: it would change nothing", "models.cnn.optimizer is adam"],
    ),
    "a key that an earlier stage reads": (
        setting(sweep__transfer__flip={"uniform": [0.2, 0.5]}),
        ["sweep.transfer.flip: no sweep can vary it: a stage before the training reads it"],
    ),
    "trials that could not be compared": (
        setting(sweep__vae__binarise={"choice": ["sampled", "none"]}),
        ["sweep.vae.binarise: no sweep can vary it", "could not be compared"],
    ),
    "widths of no key": (setting(grow__widths__vae=["botleneck"]), ["did you mean bottleneck?"]),
    "two faults at once": (
        setting(models__cnn__dropout=2, models__cnn__epoch=3),
        ["models.cnn.dropout: 2", "models.cnn.epoch: unknown key", "2 faults"],
    ),
    "an earlier version's form": (
        lambda _: "source: sample\ncnn: {data: mnist, epochs: 3}\n",
        ["cnn: the file has the form of an earlier version", "docs/migration.md"],
    ),
    "not YAML": (lambda text: text + "\n  : : {[\n", ["not YAML", "line"]),
    "a key twice": (lambda text: text + "\nprofile: full\n", ["not YAML", "profile"]),
    "a list": (lambda _: "- 1\n- 2\n", ["expected sections", "list"]),
    "an empty file": (lambda _: "", ["the file is empty"]),
    "not text": (lambda _: "\udcff\udcfe", ["cannot be read"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_one_message_and_exit_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = WRONG[name]
    (tmp_path / "params.yaml").write_bytes(change(COMMITTED).encode("utf-8", "surrogateescape"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["params"])

    with pytest.raises(SystemExit) as ended:
        run(main)

    output = capsys.readouterr()
    assert ended.value.code == 2
    assert output.out == ""
    assert "nothing was started" in output.err
    assert "Traceback" not in output.err
    for part in said:
        assert part in output.err
    assert list(tmp_path.iterdir()) == [tmp_path / "params.yaml"]


def test_every_fault_is_named_with_its_path_value_and_what_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(setting(models__cnn__momentum=-1, models__cnn__seed=-5, data__mnist__split__seed=-5)(COMMITTED))
    with pytest.raises(ParamsError) as raised:
        params.load(file)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{file}: 3 faults; nothing was started."
    assert any("models.cnn.momentum: -1 is not allowed" in line and "[0, 1)" in line for line in lines)
    assert sum("seed: -5 is not allowed" in line for line in lines) == 2


def test_a_missing_file_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match="top folder"):
        params.load()


def test_the_committed_file_is_right_and_frozen(committed: params.Params) -> None:
    with pytest.raises(ValidationError):
        committed.sections["cnn"].dropout = 0.5  # type: ignore[attr-defined]


def test_an_exponent_without_a_point_is_a_number_as_dvc_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(COMMITTED.replace("learning_rate: 0.001", "learning_rate: 1e-2", 1))
    assert params.load(file).sections["cnn"].learning_rate == 1e-2  # type: ignore[attr-defined]


def test_the_check_prints_the_resolved_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPO)
    monkeypatch.setattr(sys, "argv", ["params"])
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 0
    assert "dropout: 0.25" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize(
    "command", ["components.params", "components.train cnn", "components.data.download mnist", "flows.pipeline"]
)
def test_every_command_refuses_a_wrong_file_before_it_starts_anything(project: Project, command: str) -> None:
    shutil.rmtree(project.folder / "data", ignore_errors=True)
    project.change(cnn__dropout=1.5, cnn__clip="hard")
    done = project.run(*command.split())
    assert done.returncode == 2
    assert "cnn.dropout: 1.5" in done.stdout
    assert "cnn.clip: 'hard'" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.folder / "data").exists()
    assert not (project.folder / ".runs").exists()


def modules_after_loading(folder: Path, code: str) -> set[str]:
    """What Python has imported after it read the folder's params.yaml."""
    code = f"import sys; from components.params import params; settings = params.load(); {code}; print(*sys.modules)"
    own = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=own, text=True, capture_output=True, check=True)
    return set(done.stdout.split())


def test_a_file_that_was_checked_before_brings_no_torch_for_a_data_sets_section(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(COMMITTED)
    assert "torch" in modules_after_loading(tmp_path, "pass")
    again = modules_after_loading(tmp_path, "assert settings.sections['mnist'].split.validation == 0.2")
    assert not {"torch", "pandas", "sklearn"} & again
    assert "components.data.kinds.digits" in again
    assert "components.data.kinds.boxes" not in again


def test_a_checked_file_has_the_same_sections_as_one_that_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(COMMITTED)
    first, second = params.load(file), params.load(file)
    assert dict(first.sections) == dict(second.sections)
    assert [*first.sections] == [*second.sections]
    assert "nobody" not in second.sections


@pytest.mark.parametrize("fault", ["a typo", "an unknown section", "an unknown data set", "a range of no key"])
def test_a_change_of_a_checked_file_is_checked_whole(fault: str, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(COMMITTED)
    params.load(file)
    change, said = WRONG[fault]
    file.write_text(change(COMMITTED))
    with pytest.raises(ParamsError, match=re.escape(said[0])):
        params.load(file)


def test_a_checked_file_is_checked_again_after_a_change_of_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.py").write_text("x = 1")
    monkeypatch.setattr(check_cache, "CODE", tmp_path)
    before = check_cache.digest_of(COMMITTED)
    assert check_cache.digest_of(COMMITTED) == before
    (tmp_path / "one.py").write_text("x = 2")
    assert check_cache.digest_of(COMMITTED) != before


def test_what_a_flow_has_to_know_is_told_without_torch_once_a_file_was_checked(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(COMMITTED)
    code = "import sys; from components.params.__main__ import main; sys.argv[1:] = ['--json']; main(); "
    code += "print('torch' in sys.modules)"
    own = {**os.environ, "PYTHONPATH": str(REPO)}
    ran = [
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=own, text=True, capture_output=True, check=True)
        for _ in range(2)
    ]
    (first, with_torch), (second, without) = (each.stdout.splitlines() for each in ran)
    assert (with_torch, without) == ("True", "False")
    assert first == second
    assert json.loads(first)["values"]["models"]["cnn"]["dropout"] == 0.25
    assert json.loads(first)["small"] == {**dict.fromkeys(declared_in(MODELS), True), "ssd": False}
    assert {*json.loads(first)["large"]} == {"transfer", "detection", "sliding_window", "ssd"}
