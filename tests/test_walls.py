"""Imports run one way, nothing happens at import, and files and functions stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from components.code.imports import closure, file_of, program
from components.code.imports import imported as imported_of
from components.params.declarations import MODELS, declared_in
from components.train import loop
from tests.conftest import REPO

FILES = sorted([*(REPO / "components").rglob("*.py"), *(REPO / "flows").rglob("*.py")])
LOWEST = {"errors", "files", "made_once", "process"}
MAY_IMPORT = {  # a package, or a file beside the packages → which others it may import
    "errors": set(),
    "files": set(),
    "made_once": {"files"},
    "plots": {"files"},
    "process": {"errors"},
    "params": LOWEST,
    "cluster": LOWEST | {"params"},
    "data": LOWEST | {"params", "cluster", "plots"},
    "code": LOWEST | {"params", "data"},
    "models": LOWEST | {"params", "data"},
    "prepare": LOWEST | {"params", "data", "models"},
    "train": LOWEST | {"params", "cluster", "code", "data", "models", "prepare"},
    "tune": LOWEST | {"params", "cluster", "code", "data", "models", "plots", "prepare", "train"},
    "evaluate": LOWEST | {"params", "data", "models", "plots"},
    "baselines": LOWEST | {"params", "data", "plots"},
    "studies": LOWEST | {"params", "data", "models", "plots", "train", "evaluate"},
    "report": LOWEST | {"params", "models", "plots", "baselines"},
    "entries": LOWEST | {"params"},
    "add": LOWEST | {"params", "data", "entries"},
    "remove": LOWEST | {"params", "code", "entries"},
    "rename": LOWEST | {"params", "data", "models", "entries", "promote", "remove"},
    "promote": LOWEST | {"params", "models"},
    "predict": LOWEST | {"params", "data", "models", "evaluate", "promote"},
}
RAY_FILES = {  # the only ones that import Ray
    *("components/cluster/joining.py", "components/cluster/__main__.py", "components/data/text/parallel.py"),
    *(f"components/train/{name}.py" for name in ("driver", "lean_trainer", "local", "process_group", "progress_file")),
    *("components/train/worker.py", "components/tune/sweep.py", "components/tune/trial.py"),
    "components/tune/trials_on_ray.py",
}
MAY_DO_AT_IMPORT = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.If,
)  # fmt: skip


def imported(file: Path) -> set[str]:
    """The names of the modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def top(file: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(file)}


def name(file: Path) -> str:
    return str(file.relative_to(REPO))


def module_of(file: Path) -> str:
    return name(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("file", FILES, ids=name)
def test_each_of_the_three_tools_is_behind_its_wall(file: Path) -> None:
    in_flows = file.is_relative_to(REPO / "flows")
    assert "dvc" not in top(file)
    if in_flows:
        assert not top(file) & {"components", "ray", "torch"}
    else:
        assert not top(file) & {"flows", "prefect"}
        assert "ray" not in top(file) or name(file) in RAY_FILES


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_those_alone_that_the_table_allows(package: str) -> None:
    """In functions, too."""
    others = {
        module.split(".")[1]
        for file in FILES
        if (own := module_of(file)).split(".")[1:2] == [package]
        for module in imported_of(own)
    }
    assert others - {package} <= MAY_IMPORT[package]


def test_the_table_has_every_package_and_allows_no_circle() -> None:
    folders = {file.parent.name for file in (REPO / "components").glob("*/__init__.py")}
    assert {*MAY_IMPORT} == folders | {file.stem for file in (REPO / "components").glob("*.py")} - {"__init__"}
    assert {*TopologicalSorter(MAY_IMPORT).static_order()} == {*MAY_IMPORT}


def test_the_readmes_tree_has_every_package() -> None:
    blocks = (REPO / "README.md").read_text().split("```")
    (tree,) = (block for block in blocks if "components/     everything" in block)
    for package in MAY_IMPORT.keys() - LOWEST | {"process"}:
        assert f"  {package}/" in tree or f"  {package}.py" in tree, package


def test_packages_are_empty_themselves() -> None:
    """A module's import runs its package's, whose code no closure has."""
    for file in (REPO / "components").rglob("__init__.py"):
        assert not [node for node in ast.parse(file.read_text()).body if not isinstance(node, ast.Expr)], file


def test_the_loop_knows_no_ray_and_what_trains_knows_no_evaluation_and_no_drawing() -> None:
    assert "ray" not in top(REPO / "components/train/loop.py")
    for model in declared_in(MODELS):
        reached = {module.removeprefix("components.") for module in closure([loop.__name__, f"{MODELS}.{model}"])}
        assert not [module for module in reached if module.split(".")[0] in ("evaluate", "plots", "cluster")], model
        assert not reached & {"train.training", "train.worker", "train.driver"}, model


@pytest.mark.parametrize(
    "command",
    ["prepare.weights", "prepare.features", "prepare", "evaluate", "baselines", "studies", "report", "promote"],
)
def test_only_training_and_what_it_owns_reaches_ray(command: str) -> None:
    reached = {file_of(module) for module in closure([program(f"components.{command}")])}
    assert not reached & {REPO / file for file in RAY_FILES}


def test_imports_make_no_circle() -> None:
    graph = {module: imported_of(module) for file in FILES if (module := module_of(file)).startswith("components.")}
    assert {*TopologicalSorter(graph).static_order()} == {*graph}


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nothing_happens_at_import(file: Path) -> None:
    for node in ast.parse(file.read_text()).body:
        assert isinstance(node, MAY_DO_AT_IMPORT), ast.unparse(node)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), ast.unparse(node)
        if isinstance(node, ast.If):
            assert ast.unparse(node.test) in ("__name__ == '__main__'", "TYPE_CHECKING"), ast.unparse(node)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_files_and_functions_are_small(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) < 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


def test_checking_params_imports_neither_ray_nor_what_draws() -> None:
    code = "import sys; from components.params import params; params.load(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True, check=True)
    assert not {"ray", "prefect", "matplotlib", "pandas", "sklearn"} & set(done.stdout.split())


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_path_of_the_pipeline_is_spelled_in_python(file: Path) -> None:
    constants = {n.value for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Constant)}
    assert not {c for c in constants if isinstance(c, str) and c.startswith(("data/", "data\\", ".runs"))}
