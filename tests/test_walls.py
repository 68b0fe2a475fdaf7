"""Imports run one way, nothing happens at import, and files and functions stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from components.declarations import MODELS, declared_in
from components.source_code import closure
from components.source_code import imported as imported_of
from tests.conftest import REPO

FILES = sorted([*(REPO / "components").rglob("*.py"), *(REPO / "flows").rglob("*.py")])
# train.py's own, tune.py and its own, and the text stage's
RAY_FILES = {
    f"components/{name}"
    for name in (
        "cluster/__init__.py",
        "cluster/__main__.py",
        "distributed.py",
        "lean_trainer.py",
        "local_training.py",
        "process_group.py",
        "progress_file.py",
        "worker.py",
        "tune.py",
        "sweeper.py",
        "trial.py",
        "data/parallel_text.py",
    )
}
TEXTS = {"components/data/text.py"}  # a large table's rows are prepared on Ray
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


@pytest.mark.parametrize("file", FILES, ids=name)
def test_each_package_keeps_behind_its_wall(file: Path) -> None:
    in_flows = file.is_relative_to(REPO / "flows")
    assert "dvc" not in top(file)
    if in_flows:
        assert not top(file) & {"components", "ray", "torch"}
    else:
        assert not top(file) & {"flows", "prefect"}
        assert "ray" not in top(file) or name(file) in RAY_FILES


@pytest.mark.parametrize("file", FILES, ids=name)
def test_only_training_and_what_it_owns_reaches_ray(file: Path) -> None:
    users = {file_of.removesuffix(".py").replace("/", ".") for file_of in RAY_FILES if "cluster" not in file_of}
    reached = {module for module in imported(file) if module.rpartition(".")[0] in users or module in users}
    assert not reached or name(file) in {"components/train.py", *TEXTS, *RAY_FILES}


def test_the_loop_knows_no_ray_and_what_trains_knows_no_evaluation_and_no_drawing() -> None:
    assert "ray" not in top(REPO / "components" / "loop.py")
    for model in declared_in(MODELS):
        reached = closure(["components.loop", f"{MODELS}.{model}"])
        far = ("train", "worker", "distributed", "evaluate", "report", "cluster", "plots", "tables")
        assert not [module for module in reached if module.split(".")[1] in far], model


def test_imports_make_no_circle() -> None:
    names = [name(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in FILES]
    graph = {module: imported_of(module) for module in names if module.startswith("components.")}
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
    code = "import sys; from components import params; params.load(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True, check=True)
    assert not {"ray", "prefect", "matplotlib", "pandas", "sklearn"} & set(done.stdout.split())


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_path_of_the_pipeline_is_spelled_in_python(file: Path) -> None:
    constants = {n.value for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Constant)}
    assert not {c for c in constants if isinstance(c, str) and c.startswith(("data/", "data\\", ".runs"))}
