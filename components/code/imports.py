"""Which of this tool's files something is made by, and their digests, by which it is known again.

A digest is of a file's syntax tree without docstrings: a comment, a docstring or another layout of the same code
changes none.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from components.errors import UserError

TOP = Path(__file__).resolve().parents[2]
PACKAGE = Path(__file__).resolve().parents[1].name
WITH_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def closure(modules: Iterable[str]) -> set[str]:
    """These modules and all of this package that they import, in functions too, one through another.

    Not what is imported by a name that is put together: the section of params.yaml that a command is given.
    """
    reached: set[str] = set()
    waiting = {*modules}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= imported(module) - reached
    return reached


@cache
def imported(module: str) -> frozenset[str]:
    """The modules of this package that a module itself imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if file_of(name).is_file()}
            names |= modules or {node.module}
            names |= {node.module} if len(modules) < len(inside) else set()
    return frozenset(name for name in names if name.startswith(f"{PACKAGE}.") and file_of(name).is_file())


def file_of(module: str) -> Path:
    """Where a module lies, or would lie."""
    path = TOP.joinpath(*module.split("."))
    package = path / "__init__.py"
    return package if package.is_file() else path.with_suffix(".py")


def program(command: str) -> str:
    """The module that `python -m command` runs: of a package its __main__."""
    main = f"{command}.__main__"
    return main if file_of(main).is_file() else command


def digests(modules: Iterable[str]) -> dict[str, str]:
    """File → digest, of every file that these modules are made by, sorted by name.

    A template that is called as a module is (report.html.j2) belongs to it.
    """
    digests: dict[str, str] = {}
    for module in closure(modules):
        digests[file_of(module).relative_to(TOP).as_posix()] = _digest(module)
        for beside in file_of(module).parent.glob(f"{file_of(module).stem}.*.j2"):
            digests[beside.relative_to(TOP).as_posix()] = hashlib.sha256(beside.read_bytes()).hexdigest()
    return dict(sorted(digests.items()))


def _tree(module: str) -> ast.Module:
    file = file_of(module)
    return _parsed(file, file.read_text(encoding="utf-8"))


@cache
def _parsed(file: Path, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise UserError(f"{file}, line {error.lineno}: {error.msg}") from None


def _digest(module: str) -> str:
    return _digest_of(file_of(module).read_text(encoding="utf-8"))


@cache
def _digest_of(text: str) -> str:
    """Of what a file's text has been read without fault before."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, WITH_DOCSTRINGS) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
