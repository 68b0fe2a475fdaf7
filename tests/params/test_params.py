"""params.yaml: what is right is frozen and typed; what is wrong is one message that names every fault."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.errors import ParamsError
from components.params import check_cache, params
from components.params.__main__ import main
from components.params.declarations import MODELS, declared_in
from components.process.command import run
from tests.conftest import REPO, Project

COMMITTED = (REPO / "params.yaml").read_text()


def replaced(old: str, new: str) -> Callable[[str], str]:
    def replace(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return replace


def without_section(name: str) -> Callable[[str], str]:
    return lambda text: text[: text.index(f"\n{name}:")] + "\n"


WRONG: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "a typo": (replaced("  dropout:", "  droput:"), ["cnn.droput: unknown key", "did you mean cnn.dropout?"]),
    "a nested typo": (replaced("    method:", "    methd:"), ["did you mean mnist.split.method?"]),
    "a wrong type": (replaced("epochs: 10", "epochs: ten"), ["cnn.epochs: 'ten'", "an integer >= 1"]),
    "a number as text": (replaced("epochs: 10", 'epochs: "10"'), ["cnn.epochs: '10'"]),
    "a truth value for a number": (replaced("epochs: 10", "epochs: yes please"), ["cnn.epochs"]),
    "out of range": (replaced("dropout: 0.25", "dropout: 1.5"), ["cnn.dropout: 1.5", "a number in [0, 1)"]),
    "an unknown choice": (replaced("optimizer: adam ", "optimizer: adamw "), ["cnn.optimizer: 'adamw'", "nadam"]),
    "a list with a bad width": (replaced("filters: [4, 1]", "filters: [4, 0]"), ["cnn.filters.1: 0"]),
    "not a number": (replaced("l2: 0.0", "l2: .nan"), ["cnn.l2"]),
    "a missing key": (replaced("  dropout: 0.25\n", ""), ["cnn.dropout: missing"]),
    "a missing section": (without_section("cnn"), ["cnn: missing section", "dropout"]),
    "an unknown section": (lambda text: text + "cnnn:\n  x: 1\n", ["cnnn: unknown section; did you mean cnn?"]),
    "a section that is a number": (lambda t: without_section("cnn")(t) + "cnn: 3\n", ["cnn: expected a section"]),
    "an unknown data set": (replaced("data: mnist", "data: mnits"), ["cnn.data: 'mnits'", "did you mean mnist?"]),
    "a language nobody knows": (
        replaced("lemmas: en ", "lemmas: xx "),
        ["reviews.steps.lemmas: 'xx'", "simplemma knows"],
    ),
    "a step that is not there": (replaced("    html: true", "    htm: true"), ["did you mean reviews.steps.html?"]),
    "a sweep of no model": (replaced("  ssd:\n    learning", "  sdd:\n    learning"), ["did you mean sweep.ssd?"]),
    "a range of no key": (
        replaced("dropout: {uniform: [0.2, 0.5]}", "droput: {uniform: [0.2, 0.5]}"),
        ["sweep.cnn.droput: the model has no such key", "did you mean dropout?"],
    ),
    "a range beyond its key's": (
        replaced("dropout: {uniform: [0.2, 0.5]}", "dropout: {uniform: [0.2, 1.5]}"),
        ["sweep.cnn.dropout: 1.5 is not allowed", "a number in [0, 1)"],
    ),
    "a range upside down": (
        replaced("dropout: {uniform: [0.2, 0.5]}", "dropout: {uniform: [0.5, 0.2]}"),
        ["sweep.cnn.dropout", "the low end, 0.5, must be less than the high end, 0.2"],
    ),
    "a range of no kind": (
        replaced("dropout: {uniform: [0.2, 0.5]}", "dropout: {normal: [0.2, 0.5]}"),
        ["sweep.cnn.dropout", "uniform, log_uniform, integers or log_integers: [low, high], or choice: [values]"],
    ),
    "fractions for a whole number": (
        replaced("bottleneck: {log_integers: [10, 60]}", "bottleneck: {uniform: [10.5, 60.5]}"),
        ["sweep.autoencoder.bottleneck: 10.5 is not allowed"],
    ),
    "a logarithm of nothing": (
        replaced("learning_rate: {log_uniform: [0.0003, 0.03]}", "learning_rate: {log_uniform: [0, 0.03]}"),
        ["a logarithmic range starts above 0"],
    ),
    "momentum that nothing uses": (
        replaced("    optimizer: {choice: [adam, sgd]}\n", ""),
        ["sweep.cnn.momentum: it would change nothing", "cnn.optimizer is adam"],
    ),
    "a key that an earlier stage reads": (
        replaced("  transfer:\n    dropout: {uniform", "  transfer:\n    flip: {uniform"),
        ["sweep.transfer.flip: no sweep can vary it: a stage before the training reads it"],
    ),
    "trials that could not be compared": (
        replaced("    warm_up: {choice: [0, 500, 2000]}", "    binarise: {choice: [sampled, none]}"),
        ["sweep.vae.binarise: no sweep can vary it", "could not be compared"],
    ),
    "widths of no key": (replaced("    vae: [bottleneck]", "    vae: [botleneck]"), ["did you mean bottleneck?"]),
    "two faults at once": (
        lambda t: t.replace("dropout: 0.25", "dropout: 2").replace("  epochs:", "  epoch:", 1),
        ["cnn.dropout: 2", "cnn.epoch: unknown key", "cnn.epochs: missing", "3 faults"],
    ),
    "not YAML": (lambda text: text + "\n  : : {[\n", ["not YAML", "line"]),
    "a key twice": (replaced("  epochs: 10", "  epochs: 10\n  epochs: 20"), ["not YAML", "epochs"]),
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
    file.write_text(COMMITTED.replace("momentum: 0.9", "momentum: -1", 1).replace("seed: 42", "seed: -5", 2))
    with pytest.raises(ParamsError) as raised:
        params.load(file)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{file}: 3 faults; nothing was started."
    assert any("cnn.momentum: -1 is not allowed" in line and "[0, 1)" in line for line in lines)
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
    file.write_text(COMMITTED.replace("learning_rate: 0.001", "learning_rate: 1e-3", 1))
    assert params.load(file).sections["cnn"].learning_rate == 1e-3  # type: ignore[attr-defined]


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
    assert "components.data.datasets.mnist" in again
    assert "components.data.datasets.voc" not in again


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
    assert json.loads(first)["values"]["cnn"]["dropout"] == 0.25
    assert json.loads(first)["small"] == {**dict.fromkeys(declared_in(MODELS), True), "ssd": False}
