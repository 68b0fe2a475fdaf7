"""Where sections of params.yaml are declared: an entry of `models:` by the file of its family, and so on.

So a new family or data set needs no list, and a stage imports the declarations alone that it needs: those of models
bring torch along, whose import takes seconds.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from components.errors import UserError
from components.params.section import Section

MODELS, KINDS = "components.models.families", "components.data.kinds"
BASELINES, STUDIES = "components.baselines", "components.studies"
EVALUATIONS, BACKBONES = "components.evaluate", "components.models.backbones"
TOP = Path(__file__).resolve().parents[2]
A_CONFIG = re.compile(r"^(class Config\b|Config\s*[:=])", re.MULTILINE)


@dataclass(frozen=True)
class Group:
    """A section of params.yaml that holds entries under names of the user's choice.

    package: where the kinds of entry are declared, a file each.
    key:     of an entry, which names its kind; "" where there is one kind alone, of which `package` has no other.
    what:    what an entry is, for messages.
    """

    package: str
    key: str
    what: str

    def kind_of(self, values: Mapping[str, Any]) -> str:
        """The kind that an entry's values name."""
        return str(values.get(self.key, "")) if self.key else declared_in(self.package)[0]


GROUPS = {
    "data": Group(KINDS, "kind", "data set"),
    "backbones": Group(BACKBONES, "", "backbone"),
    "models": Group(MODELS, "family", "model"),
    "baselines": Group(BASELINES, "kind", "baseline"),
    "studies": Group(STUDIES, "kind", "study"),
}
SINGLE = (EVALUATIONS,)  # packages whose files declare a section of their own name


def tested_by(family: str) -> str:
    """The module that says how models of a family are tested: of its own name, or else that of any classifier."""
    own = f"{EVALUATIONS}.{family}"
    return own if TOP.joinpath(*own.split(".")).with_suffix(".py").is_file() else f"{EVALUATIONS}.classification"


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


def config_of(package: str, name: str) -> type[Section]:
    """The Config that the file of that name declares, which has to be there."""
    config: type[Section] = _imported(f"{package}.{name}").Config
    return config


def single_sections() -> dict[str, str]:
    """The sections that stand at the top of params.yaml → the package that declares each."""
    return {name: package for package in SINGLE for name in declared_in(package)}


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}: {error.msg}") from None
