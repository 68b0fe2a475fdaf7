"""Each stage depends on the code that it runs, all of it and no more, so that an edit makes stale what it changes."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.code import imports
from components.code.digests_by_step import (
    ALONE,
    STEPS,
    entries_of,
    modules_of,
    write,
)
from components.code.imports import closure, digests, imported
from components.errors import UserError
from components.evaluate.evaluation import Config as Evaluation
from components.evaluate.results import results_of
from components.params import declarations, params
from components.params.declarations import MODELS, declared_in
from components.params.section import Section
from components.train import loop
from tests.conftest import REPO


def stages() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((REPO / "dvc.yaml").read_text())["stages"]
    return loaded


NAMES = [name for name in stages() if name != "code"]


def command(stage: dict[str, Any]) -> str:
    module: str = re.findall(r"python -m (\S+)", stage.get("do", stage)["cmd"])[0]
    return module


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_depends_on_its_code_and_runs_the_command_of_that_step(name: str) -> None:
    stage = stages()[name]
    program = STEPS[name][0] if name in STEPS else ALONE[name]
    assert command(stage) == program
    deps = "\n".join(stage.get("do", stage)["deps"])
    own = re.findall(rf"\$\{{paths\.code\}}/{name}(?:/\$\{{(?:item|key)\}})?$", deps, re.MULTILINE)
    assert len(own) == 1


def test_the_code_stage_depends_on_all_code_and_no_other_stage_on_any_of_it() -> None:
    assert stages()["code"]["deps"] == ["components", "params.yaml", "${paths.sources}"]
    assert "components/" not in (REPO / "dvc.yaml").read_text()


def test_what_it_writes_is_a_line_for_each_file(committed: params.Params, tmp_path: Path) -> None:
    write(committed, tmp_path / "code")
    lines = (tmp_path / "code/train/cnn").read_text().splitlines()
    assert all(re.fullmatch(r"[0-9a-f]{64}  components/\S+\.py", line) for line in lines)
    assert [line[66:] for line in lines] == sorted(line[66:] for line in lines)
    assert (tmp_path / "code/report").read_text().count("page.html.j2") == 1
    assert {file.name for file in (tmp_path / "code").iterdir()} == {*STEPS, *ALONE}


def test_the_walk_sees_imports_in_functions_and_through_packages() -> None:
    assert "components.data.formats.text_files" in imported("components.data.kinds.texts")  # in a function
    assert "components.params.params" in imported("components.train.__main__")  # from components.params import params
    assert "components.models.families.transfer" in imported("components.studies.reuse")
    assert "components.params.section" in closure(["components.data.kinds.digits"])


def test_what_only_an_evaluation_reads_is_a_parameter_of_evaluations_alone() -> None:
    readers = [name for name, stage in stages().items() if "evaluation" in stage.get("do", stage).get("params", [])]
    assert readers == ["evaluate"]


# What an edit makes stale


def digests_now(settings: params.Params) -> dict[str, dict[str, str]]:
    """Stage → file → digest, of every stage in dvc.yaml; and of what names a training, under `key@model`."""
    imports.imported.cache_clear()
    found = {f"key@{name}": digests([loop.__name__, f"{MODELS}.{name}"]) for name in declared_in(MODELS)}
    for step in STEPS:
        for name in entries_of(step, settings):
            found[f"{step}@{name}"] = digests(modules_of(step, name, settings))
    found["report"] = digests(["components.report.__main__"])
    return found


@dataclass
class Tree:
    """A copy of the code, in which edits are tried. before: the digests without any."""

    settings: params.Params
    top: Path
    before: dict[str, dict[str, str]]

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        path = self.top / file
        changed = change(path.read_text())
        assert changed != path.read_text()
        path.write_text(changed)

    def stale(self) -> set[str]:
        now = digests_now(self.settings)
        return {stage for stage in now if now[stage] != self.before[stage]}


@pytest.fixture(scope="module")
def before(committed: params.Params) -> dict[str, dict[str, str]]:
    return digests_now(committed)


@pytest.fixture
def tree(
    committed: params.Params, before: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tree]:
    shutil.copytree(REPO / "components", tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__"))
    with monkeypatch.context() as moved:
        moved.setattr(imports, "TOP", tmp_path)
        moved.setattr(declarations, "TOP", tmp_path)
        yield Tree(committed, tmp_path, before)
    imports.imported.cache_clear()


def replace(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


def test_comments_docstrings_and_layout_make_nothing_stale(tree: Tree) -> None:
    for file in tree.top.rglob("*.py"):
        text = file.read_text().replace('"""', '"""Another docstring. ', 1)
        file.write_text(f"# A comment.\n{text}\n\n\n# And one more.\n")
    assert tree.stale() == set()


def of(model: str, *steps: str) -> set[str]:
    return {f"{step}@{model}" for step in steps}


EDITS: dict[str, tuple[str, Callable[[str], str], set[str]]] = {
    "a synthetic flower": (
        "components/data/synthetic/flower_images.py",
        replace("LONGEST = 240", "LONGEST = 200"),
        {"download@flowers"},
    ),
    "the network of the VAE": (
        "components/models/families/vae.py",
        replace("def build(", "def other() -> None: ...\n\n\ndef build("),
        {"key@vae", "study@manifold", "study@anomaly", *of("vae", "prepare", "train", "evaluate")},
    ),
    "the targets of SSD": (
        "components/models/objects/default_boxes.py",
        replace("def matches(", "def other() -> None: ...\n\n\ndef matches("),
        of("ssd", "key", "prepare", "train", "evaluate"),
    ),
    "what the report says": ("components/report/page.html.j2", lambda text: f"{text}\n", {"report"}),
    "the evaluation of all": (
        "components/evaluate/stage.py",
        lambda text: f"{text}\nMORE = 1\n",
        {f"evaluate@{model}" for model in declared_in(MODELS)},
    ),
    "a study": ("components/studies/reuse.py", lambda text: f"{text}\nMORE = 1\n", {"study@reuse"}),
    "a baseline": ("components/baselines/tfidf.py", lambda text: f"{text}\nMORE = 1\n", {"baseline@tfidf", "report"}),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_makes_stale_what_it_changes_and_nothing_else(name: str, tree: Tree) -> None:
    file, change, stale = EDITS[name]
    tree.edit(file, change)
    assert tree.stale() == stale


def test_a_colour_makes_stale_what_draws_and_no_training(tree: Tree) -> None:
    tree.edit("components/plots/palette.py", replace("#1f6f8b", "#1f6f8c"))
    assert {stage.partition("@")[0] for stage in tree.stale()} == {"evaluate", "study", "report"}


def test_a_synthetic_generator_is_no_code_of_a_download_from_elsewhere(tree: Tree) -> None:
    flowers = tree.settings.sections["flowers"].model_copy(update={"source": "data/sources/voc2012.yaml"})
    tree.settings = dataclasses.replace(tree.settings, sections={**tree.settings.sections, "flowers": flowers})
    tree.before = digests_now(tree.settings)
    tree.edit("components/data/synthetic/flower_images.py", replace("LONGEST = 240", "LONGEST = 200"))
    assert tree.stale() == set()


@pytest.mark.parametrize("file", ["components/models/families/cnn.py", "components/process/allocator.py"])
def test_code_that_python_cannot_read_is_named_with_its_line(file: str, tmp_path: Path) -> None:
    shutil.copytree(REPO / "components", tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(REPO / "params.yaml", tmp_path / "params.yaml")
    lines = (tmp_path / file).read_text().splitlines()
    (tmp_path / file).write_text("\n".join([*lines, "def ("]))
    done = subprocess.run(
        [sys.executable, "-m", "components.code"], cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert re.fullmatch(rf"error: \S+{file}, line {len(lines) + 1}: .+\n", done.stderr)
    assert not (tmp_path / "data/code").exists()


def test_a_family_without_an_evaluation_of_its_own_depends_on_that_of_any_classifier(tree: Tree) -> None:
    (tree.top / "components/evaluate/cnn.py").unlink()
    assert tree.stale() == {"evaluate@cnn"}


def test_a_familys_own_values_of_evaluation_have_to_be_declared(evaluation: Evaluation) -> None:
    class Other(Section):
        pass

    with pytest.raises(UserError, match=r"evaluation\.ssd: missing; declare it in"):
        results_of("ssd", Other())  # type: ignore[arg-type]
    assert results_of("ssd", evaluation).metrics
