"""params.yaml into frozen, typed sections; every fault in one message.

A section is named after the file that declares it (declarations.py).

    python -m components.params          check the file and print the resolved values
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.errors import ParamsError
from components.params import check_cache
from components.params.declarations import DATASETS, MODELS, declared_in, section_type, section_types
from components.params.faults import fault, kind_of, nearest, shown, yaml_fault
from components.params.search_space import FORMS, Grow, Range, Search
from components.params.search_space import faults as space_faults
from components.params.section import Section

FILE = Path("params.yaml")
S = TypeVar("S", bound="Section")


class Paths(Section):
    """Where the stages keep what they make; dvc.yaml reads the same values."""

    code: str = Field(description="a folder: digests of the code that each stage runs")
    raw: str = Field(description="a folder: data sets as published")
    text: str = Field(description="a folder: texts as words")
    split: str = Field(description="a folder: arrays, and the rows of each part")
    weights: str = Field(description="a folder: backbones' published weights")
    features: str = Field(description="a folder: what frozen layers make of each image")
    models: str = Field(description="a folder: trained models")
    metrics: str = Field(description="a folder: test metrics")
    plots: str = Field(description="a folder: plot data and images")
    sweeps: str = Field(description="a folder: what sweeps found")
    report: str = Field(description="a folder: the HTML report")
    runs: str = Field(description="a folder git ignores: checkpoints, Ray storage, logs")


class Promotion(Section):
    """When a newly trained model takes the promoted one's place."""

    margin: float = Field(ge=0, lt=1, description="0 <= margin < 1: a fraction of the promoted model's metric")
    tag: bool = Field(description="true | false: whether a scheduled run marks what it promotes in git")


class General(Section):
    """The keys that belong to no model and no data set."""

    paths: Paths
    source: Literal["sample", "full"] = Field(description="sample | full, for every data set")
    search: Search
    sweep: dict[str, dict[str, Range]] = Field(description=FORMS)
    grow: Grow
    promotion: Promotion


@dataclass(frozen=True)
class Params:
    """A checked params.yaml: the general values and each named section, in the file's order.

    digest: of the file and the code that has checked it; "" of values that stand in no file.
    """

    general: General
    sections: Mapping[str, Section]
    digest: str = ""

    @property
    def paths(self) -> Paths:
        return self.general.paths

    def values(self, name: str) -> Mapping[str, Any]:
        """A section's plain values, for which its declaration need not be imported."""
        if isinstance(self.sections, _Sections):
            return self.sections.plain(name)
        return self.sections[name].model_dump(mode="json")


class _Sections(Mapping[str, Section]):
    """The sections of a file that was checked before, each made when it is asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: own for name, own in values.items() if name not in General.model_fields}
        self._made: dict[str, Section] = {}

    def __getitem__(self, name: str) -> Section:
        if name not in self._made:
            kind = section_type(name) if name in self._values else None
            if kind is None:
                raise KeyError(name)
            self._made[name] = kind.model_validate_json(json.dumps(self._values[name], default=str))
        return self._made[name]

    def plain(self, name: str) -> Mapping[str, Any]:
        values: Mapping[str, Any] = self._values[name]
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def load(file: Path = FILE) -> Params:
    """Read and check the whole file, or, if it was checked before, as far as is asked for.

    Raises ParamsError, which lists every fault there is.
    """
    text, values = _read(file)
    faults: list[str] = []
    general = _section(General, {k: v for k, v in values.items() if k in General.model_fields}, "", faults)
    digest = check_cache.digest_of(text)
    if general and check_cache.is_verified(digest, file.parent / general.paths.runs):
        return Params(general, _Sections(values), digest)
    sections = _all_sections(values, faults)
    if general:
        faults += space_faults(general.sweep, general.grow, sections, [*declared_in(MODELS)], nearest)
    if faults or general is None:
        raise ParamsError(file, faults)
    settings = Params(general, {name: sections[name] for name in values if name in sections}, digest)
    check_cache.remember(digest, file.parent / general.paths.runs, told(settings))
    return settings


def told(settings: Params) -> dict[str, Any]:
    """For a flow: {"values": as nested as the file, "small": model → whether a core is enough for it}."""
    values = settings.general.model_dump(mode="json")
    values |= {name: section.model_dump(mode="json") for name, section in settings.sections.items()}
    small = {name: settings.sections[name].small for name in declared_in(MODELS)}  # type: ignore[attr-defined]
    return {"values": values, "small": small}


def _all_sections(values: Mapping[str, Any], faults: list[str]) -> dict[str, Section]:
    """Every section that has no fault; the others' faults are added."""
    types, general_names = section_types(), [*General.model_fields]
    sections: dict[str, Section] = {}
    for name in values:
        if name not in types and name not in general_names:
            faults.append(f"{name}: unknown section{nearest(str(name), [*general_names, *types])}")
    for name, kind in types.items():
        if name not in values:
            faults.append(f"{name}: missing section; it needs {', '.join(kind.model_fields)}")
        elif section := _section(kind, values[name], f"{name}.", faults):
            sections[name] = section
    faults += _unknown_names(sections)
    return sections


def _unknown_names(sections: Mapping[str, Section]) -> list[str]:
    """A section's `data` and `others` must name data sets, and its `model` a model."""
    faults = []
    for key, package, kind in (
        ("data", DATASETS, "data set"),
        ("others", DATASETS, "data set"),
        ("model", MODELS, "model"),
    ):
        known = [*declared_in(package)]
        for name, section in sections.items():
            given = getattr(section, key, None)
            if given is not None and given not in known:
                faults.append(f"{name}.{key}: {given!r} is no {kind}{nearest(given, known, prefix='')}")
    return faults


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    """The file's text, and its plain values, read as YAML 1.2 as DVC reads it (so that 1e-3 is a number)."""
    try:
        text = file.read_text(encoding="utf-8")
        values = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise ParamsError(file, [f"no such file in {Path.cwd()}; run from the project's top folder"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(file, [f"cannot be read: {error}"]) from None
    except YAMLError as error:
        raise ParamsError(file, [f"not YAML: {yaml_fault(error)}"]) from None
    if values is None:
        raise ParamsError(file, ["the file is empty; `git checkout params.yaml` brings the committed one back"])
    if not isinstance(values, dict):
        raise ParamsError(file, [f"expected sections (`name: values`), found a {kind_of(values)}"])
    return text, values


def _section(kind: type[S], values: Any, prefix: str, faults: list[str]) -> S | None:
    if not isinstance(values, dict):
        wanted = ", ".join(kind.model_fields)
        faults.append(f"{prefix.rstrip('.')}: expected a section with {wanted}; found {shown(values)}")
        return None
    try:
        # Through JSON, where a list may become a tuple even under strict types.
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        faults += [fault(kind, prefix, details) for details in error.errors()]
        return None
