"""Which of this tool's files something is made by: what stages depend on, and what a training is known again by."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PACKAGE = Path(__file__).resolve().parent.name


def closure(modules: Iterable[str]) -> set[str]:
    """These modules and all of this package that they import, in functions too, one through another.

    Not what is imported by a name that is put together: the section of params.yaml that a command is given.
    """
    found: set[str] = set()
    waiting = {*modules}
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= imported(module) - found
    return found


@cache
def imported(module: str) -> frozenset[str]:
    """What a module itself imports of this package, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if file_of(name).is_file()}
            names |= modules or {node.module}
            names |= {node.module} if len(modules) < len(inside) else set()
    return frozenset(name for name in names if name.startswith(f"{PACKAGE}.") and file_of(name).is_file())


def file_of(module: str) -> Path:
    return TOP.joinpath(*module.split(".")).with_suffix(".py")


def source_of(*modules: str) -> list[str]:
    """The text of every file that these modules are made by, in the order of their names."""
    return [file_of(module).read_text(encoding="utf-8") for module in sorted(closure(modules))]
