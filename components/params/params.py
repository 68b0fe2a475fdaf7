"""params.yaml into frozen, typed sections; every fault in one message.

`data`, `models`, `backbones`, `baselines` and `studies` hold entries under names of the user's choice; which keys an
entry has is declared by the file of its family or kind (declarations.py), with each key's default.

    python -m components.params          check the file and print what stands in it
    python -m components.params cnn      explain every key of an entry
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

from components.errors import ParamsError, UserError
from components.params import check_cache
from components.params.declarations import GROUPS, config_of, single_sections
from components.params.entries import entry_faults, entry_type, name_faults, older_form, started_from, unknown_names
from components.params.faults import fault, kind_of, nearest, shown, yaml_fault
from components.params.search_space import FORMS, Grow, Range, Search
from components.params.search_space import faults as space_faults
from components.params.section import Section

FILE = Path("params.yaml")
S = TypeVar("S", bound="Section")


class Paths(Section):
    """Where the stages keep what they make; dvc.yaml reads the same values."""

    sources: str = Field(description="a folder: files that say where published data are")
    code: str = Field(description="a folder: digests of the code that each stage runs")
    raw: str = Field(description="a folder: data sets as published")
    preprocessed: str = Field(description="a folder: images decoded, texts as words")
    split: str = Field(description="a folder: the rows of each subset, and the vocabulary of texts")
    prepared: str = Field(description="a folder: what each model trains on, where that is not the split itself")
    models: str = Field(description="a folder: trained models, and backbones' published weights")
    metrics: str = Field(description="a folder: test metrics")
    plots: str = Field(description="a folder: tables and figures of the report")
    images: str = Field(description="a folder: images, which `dvc plots show` draws, too")
    curves: str = Field(description="a folder: the losses and metrics of each training, epoch by epoch")
    sweeps: str = Field(description="a folder: what sweeps found")
    report: str = Field(description="a folder: the HTML report")
    runs: str = Field(description="a folder git ignores: checkpoints, Ray storage, logs")


class Promotion(Section):
    """When a newly trained model takes the promoted one's place."""

    margin: float = Field(0.01, ge=0, lt=1, description="0 <= margin < 1: a fraction of the promoted model's metric")
    tag: bool = Field(True, description="true | false: whether a scheduled run marks what it promotes in git")


class General(Section):
    """The keys that belong to no model and no data set."""

    paths: Paths
    profile: Literal["sample", "full"] = Field(
        description="sample | full: which of the two places a source file names, for every data set"
    )
    search: Search = Search()
    sweep: dict[str, dict[str, Range]] = Field({}, description=FORMS)
    grow: Grow = Grow()
    promotion: Promotion = Promotion()


@dataclass(frozen=True)
class Params:
    """A checked params.yaml: the general values and each named section, in the file's order.

    sections: the name of an entry, whichever group it is of, or of a section at the top → its values.
    groups:   group → the names of its entries.
    digest:   of the file and the code that has checked it; "" of values that stand in no file.
    """

    general: General
    sections: Mapping[str, Section]
    groups: Mapping[str, tuple[str, ...]]
    digest: str = ""

    @property
    def paths(self) -> Paths:
        return self.general.paths

    def values(self, name: str) -> Mapping[str, Any]:
        """A section's values as the file has them, for which its declaration need not be imported."""
        if isinstance(self.sections, _Sections):
            return self.sections.plain(name)
        return self.sections[name].model_dump(mode="json")

    def plain(self, group: str, name: str) -> Mapping[str, Any]:
        """An entry's values as the file has them. Raises UserError as `entry` does."""
        self._check(group, name)
        return self.values(name)

    def entry(self, group: str, name: str) -> Any:
        """An entry of a group. Raises UserError, with the nearest right name, if there is none."""
        self._check(group, name)
        return self.sections[name]

    def _check(self, group: str, name: str) -> None:
        if name not in self.groups[group]:
            near = nearest(name, list(self.groups[group]))
            raise UserError(f"{name!r} is no {GROUPS[group].what} of params.yaml{near}")


class _Sections(Mapping[str, Section]):
    """The sections of a file without fault, each made when it is asked for, unless it is made already."""

    def __init__(self, values: Mapping[str, Any], made: Mapping[str, Section] | None = None) -> None:
        self._all = values
        self._group_of = {name: group for group in GROUPS for name in values.get(group) or {}}
        self._names = [*self._group_of, *(name for name in single_sections() if name in values)]
        self._made = dict(made or {})

    def __getitem__(self, name: str) -> Section:
        if name not in self._made:
            if name not in self._names:
                raise KeyError(name)
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Section:
        if name in self._group_of:
            group = self._group_of[name]
            own, kind, where = self._all[group][name], entry_type(group, self._all[group][name]), f"{group}.{name}"
            own = {**own, **started_from(self._all, group, own)}
        else:
            own, kind, where = self._all[name], config_of(single_sections()[name], name), name
        made: Section = kind.model_validate_json(json.dumps(own, default=str)).at(where)
        return made

    def plain(self, name: str) -> Mapping[str, Any]:
        group = self._group_of.get(name)
        values: Mapping[str, Any] = self._all[group][name] if group else self._all[name]
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def load(file: Path = FILE) -> Params:
    """Read and check the whole file, or, if it was checked before, as far as is asked for.

    Raises ParamsError, which lists every fault there is.
    """
    text, values = _read(file)
    faults: list[str] = []
    general = _section(General, {k: v for k, v in values.items() if k in General.model_fields}, "", faults)
    digest = check_cache.digest_of(text)
    if general and check_cache.is_verified(digest, file.parent / general.paths.runs):
        return Params(general, _Sections(values), _names(values), digest)
    if old := older_form(values):
        raise ParamsError(file, [old])
    sections = _all_sections(values, faults)
    if general:
        models = [name for name in values.get("models") or {} if isinstance(name, str)]
        of_models = {name: own for name, own in sections.items() if hasattr(own, "family")}
        faults += space_faults(general.sweep, general.grow, of_models, models, nearest)
    if faults or general is None:
        raise ParamsError(file, faults)
    settings = Params(general, _Sections(values, sections), _names(values), digest)
    check_cache.remember(digest, file.parent / general.paths.runs, told(settings))
    return settings


def _names(values: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {group: tuple(values.get(group) or {}) for group in GROUPS}


def told(settings: Params) -> dict[str, Any]:
    """For a flow: {"values": as nested as the file, "small": model → whether a core is enough for it, "large": …}.

    large: the models whose preparation and evaluation take all cores, since a backbone sees all images in them.
    """
    values = settings.general.model_dump(mode="json")
    grouped = {name for names in settings.groups.values() for name in names}
    values |= {name: own.model_dump(mode="json") for name, own in settings.sections.items() if name not in grouped}
    values |= {
        group: {name: settings.sections[name].model_dump(mode="json") for name in names}
        for group, names in settings.groups.items()
    }
    models: dict[str, Any] = {name: settings.sections[name] for name in settings.groups["models"]}
    return {
        "values": values,
        "small": {name: own.small for name, own in models.items()},
        "large": [name for name, own in models.items() if own.on_a_backbone],
    }


def _all_sections(values: Mapping[str, Any], faults: list[str]) -> dict[str, Section]:
    """Every section and entry that has no fault, in the file's order; the others' faults are added."""
    single, general_names = single_sections(), [*General.model_fields]
    known, sections = [*general_names, *single, *GROUPS], dict[str, Section]()
    faults += [f"{n}: unknown section{nearest(str(n), known)}" for n in values if n not in known]
    faults += name_faults(values)
    for name in [*values, *(name for name in single if name not in values)]:
        if name in GROUPS:
            for entry, own in (values[name] if isinstance(values[name], dict) else {}).items():
                if said := entry_faults(name, entry, own, values):
                    faults += said
                elif section := _entry(name, entry, own, values, faults):
                    sections[entry] = section
        elif name in single and (
            section := _section(config_of(single[name], name), values.get(name, {}), f"{name}.", faults)
        ):
            sections[name] = section.at(name)
    return sections


def _entry(
    group: str, name: str, own: Mapping[str, Any], values: Mapping[str, Any], faults: list[str]
) -> Section | None:
    before = len(faults)
    completed = {**own, **started_from(values, group, own)}
    section = _section(entry_type(group, own), completed, f"{group}.{name}.", faults)
    faults += unknown_names(f"{group}.{name}", section, values) if section and len(faults) == before else []
    return section.at(f"{group}.{name}") if section else None


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
