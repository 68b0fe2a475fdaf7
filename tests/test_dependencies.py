"""Each stage depends on the code that it runs, all of it and nothing else, so that an edit makes stale what it changes.

A stage's list in dvc.yaml is one for all its items (DVC cannot take a list from each), so what one of them runs stands
there for the others, too.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import params
from components.source_code import closure, file_of, imported
from tests.conftest import REPO

CODE = re.compile(r"components/\S+\.(py|j2)")
OWN = {  # a stage's command → the package in which its item's own module is
    "components.data.download": params.DATASETS,
    "components.data.text": params.DATASETS,
    "components.data.split": params.DATASETS,
    "components.baseline": params.BASELINES,
    "components.weights": params.MODELS,
    "components.features": params.MODELS,
    "components.vectors": params.MODELS,
    "components.train": params.MODELS,
    "components.evaluate": params.MODELS,
    "components.study": params.STUDIES,
}


def stages() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((REPO / "dvc.yaml").read_text())["stages"]
    return loaded


NAMES = [*stages()]


def command(stage: dict[str, Any]) -> str:
    module: str = re.findall(r"python -m (\S+)", stage.get("do", stage)["cmd"])[0]
    return module


def items(stage: dict[str, Any]) -> list[str]:
    return [*stage.get("foreach", [""])]


def listed(stage: dict[str, Any], item: str) -> set[str]:
    """The files of code that an item of a stage depends on: in its list, or in what foreach gives it."""
    own = stage.get("foreach", {})
    given = [own[item]] if isinstance(own, dict) and item else []
    given = [value for each in given for value in (each.values() if isinstance(each, dict) else [each])]
    lines = [re.sub(r"\$\{(item|key)\}", item, line) for line in stage.get("do", stage)["deps"]]
    return {line for line in (*lines, *given) if CODE.fullmatch(line)}


def runs(stage: dict[str, Any], item: str, committed: params.Params) -> set[str]:
    """The files that an item's command imports, anywhere in them, and those of the modules that it loads by name."""
    program = command(stage)
    modules = {program}
    if item:
        modules.add(f"{OWN[program]}.{item}")
        section = committed.sections[item]
        others = [getattr(section, "weights", None), getattr(section, "model", None)]
        others += ["word2vec"] if program == "components.vectors" else []  # whose model it reads
        modules |= {f"{params.MODELS}.{name}" for name in others if name in params.declared_in(params.MODELS)}
    return {str(file_of(module).relative_to(REPO)) for module in closure(modules)}


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_lists_all_that_it_runs(name: str, committed: params.Params) -> None:
    stage = stages()[name]
    for item in items(stage):
        lacking = runs(stage, item, committed) - listed(stage, item)
        assert not lacking, f"{name}@{item} runs, and dvc.yaml does not list: {sorted(lacking)}"


@pytest.mark.parametrize("name", NAMES)
def test_no_stage_lists_what_none_of_its_items_runs(name: str, committed: params.Params) -> None:
    stage = stages()[name]
    all_run = set().union(*(runs(stage, item, committed) for item in items(stage)))
    all_listed = set().union(*(listed(stage, item) for item in items(stage)))
    templates = {str(file.relative_to(REPO)) for file in REPO.glob("components/**/*.j2")}
    assert all_listed - templates <= all_run
    assert name == "report" or not all_listed & templates


def test_the_walk_sees_imports_in_functions_and_through_packages() -> None:
    assert "components.data.garment_samples" in imported("components.datasets.fashion")  # in a function
    assert "components.params" in imported("components.cluster")  # from components import params
    assert "components.models.transfer" in imported("components.studies.reuse")
    assert "components.section" in closure(["components.datasets.mnist"])  # through components.params
