"""How commands begin: told at once what is asked, without the imports that take seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import REPO

COMMANDS = sorted(
    ".".join(file.relative_to(REPO).with_suffix("").parts).removesuffix(".__main__")
    for file in (REPO / "components").rglob("*.py")
    if "parser.parse_args()" in file.read_text() or "given = begin(" in file.read_text()
)
ASKED = """
import runpy, sys
sys.argv = ["command", *sys.argv[2:]]
try:
    runpy.run_module("{module}", run_name="__main__")
except SystemExit as ended:
    code = ended.code
print(code, *sys.modules)
"""
IMPORTED = """
import sys, {module}
from components.data.kind import load_kind
from components.params.declarations import KINDS, declared_in
for name in declared_in(KINDS):
    load_kind(name)
print("torch" in sys.modules)
"""


def modules_after(module: str, *arguments: str) -> tuple[str, set[str], str]:
    """(the exit code, what was imported, what it said on standard error) of a command."""
    code = ASKED.format(module=module)
    done = subprocess.run([sys.executable, "-c", code, "--", *arguments], cwd=REPO, text=True, capture_output=True)
    ended, *modules = done.stdout.splitlines()[-1].split()
    return ended, {*modules}, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "components.process.command"])
def test_help_imports_nothing_that_takes_seconds(command: str) -> None:
    ended, modules, _ = modules_after(command, "--help")
    assert ended == "0"
    assert not modules & {"torch", "ray", "pandas", "sklearn", "matplotlib"}


def test_a_wrong_argument_is_told_as_soon() -> None:
    ended, modules, said = modules_after("components.train", "cnn", "--workers")
    assert ended == "2"
    assert "unrecognized arguments: --workers" in said
    assert "torch" not in modules


@pytest.mark.parametrize(
    "command", ["data.download", "data.split", "data.preprocess", "baselines.__main__", "report.__main__"]
)
def test_a_stage_without_a_network_is_imported_without_torch(command: str) -> None:
    code = IMPORTED.format(module=f"components.{command}")
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True, check=True)
    assert done.stdout == "False\n"
