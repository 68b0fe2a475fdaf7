"""Where sections of params.yaml are declared: `cnn:` by models/families/cnn.py.

So a new family or data set needs no list, and a stage imports the declarations alone that it needs: those of models
bring torch along, whose import takes seconds.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from components.errors import UserError
from components.params.section import Section

MODELS, DATASETS = "components.models.families", "components.data.datasets"
BASELINES, STUDIES = "components.baselines", "components.studies"
EVALUATIONS = "components.evaluate"
PACKAGES = (MODELS, DATASETS, BASELINES, STUDIES, EVALUATIONS)
TOP = Path(__file__).resolve().parents[2]
A_CONFIG = re.compile(r"^(class Config\b|Config\s*[:=])", re.MULTILINE)


@cache
def declared_in(package: str) -> tuple[str, ...]:
    """The names of the sections that a package declares: its modules with a `Config` of their own. Imports none."""
    folder = TOP.joinpath(*package.split("."))
    return tuple(file.stem for file in sorted(folder.glob("*.py")) if A_CONFIG.search(file.read_text(encoding="utf-8")))


def declaration(package: str, name: str, attribute: str, kind: str) -> Any:
    """Get what a section's module declares beside its Config. Raises UserError when no section has that name."""
    known = declared_in(package)
    if name not in known:
        raise UserError(f"no {kind} is called {name!r}; there are: {', '.join(known)}")
    return getattr(_imported(f"{package}.{name}"), attribute)


def section_type(name: str) -> type[Section] | None:
    """The type of a section; None if no module declares it."""
    for package in PACKAGES:
        if name in declared_in(package):
            config: type[Section] = _imported(f"{package}.{name}").Config
            return config
    return None


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}: {error.msg}") from None


def section_types() -> dict[str, type[Section]]:
    """Section name → its type, of all."""
    return {name: kind for name in all_declared() if (kind := section_type(name))}


def all_declared() -> Iterator[str]:
    for package in PACKAGES:
        yield from declared_in(package)
