"""The JSON schema of changes to params.yaml: any of its values within their ranges, none of them needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from components.params.declarations import GROUPS, config_of, single_sections
from components.params.entries import entry_type
from components.params.params import General, Params
from components.params.section import derived

FIXED = ("paths",)  # where things lie is no run's to change
Types = Mapping[str, type[BaseModel]]


def of_changes(settings: Params) -> dict[str, Any]:
    """{"schema": of an object as nested as params.yaml, "definitions": what it refers to as #/definitions/NAME}."""
    single: Types = {name: config_of(package, name) for name, package in single_sections().items()}
    grouped: dict[str, Types] = {
        group: {name: entry_type(group, settings.values(name)) for name in settings.groups[group]} for group in GROUPS
    }
    of_entries = [kind for own in grouped.values() for kind in own.values()]
    kinds: list[type[BaseModel]] = list(dict.fromkeys([General, *single.values(), *of_entries]))
    refs, all_of_them = models_json_schema(
        [(kind, "validation") for kind in kinds], ref_template="#/definitions/{model}"
    )
    definitions = {name: _lenient(each) for name, each in all_of_them["$defs"].items()}
    for kind in kinds:
        for key in derived(kind):  # type: ignore[arg-type]
            del definitions[_name(refs[kind, "validation"])]["properties"][key]
    own = definitions.pop(_name(refs[General, "validation"]))["properties"]
    properties = {name: each for name, each in own.items() if name not in FIXED}
    properties |= {name: refs[kind, "validation"] for name, kind in single.items()}
    properties |= {group: _object(entries, refs) for group, entries in grouped.items()}
    return {"schema": {"properties": properties, "additionalProperties": False}, "definitions": definitions}


def _object(entries: Types, refs: Mapping[Any, Any]) -> dict[str, Any]:
    """Of a group: its entries, and no other."""
    named = {name: refs[kind, "validation"] for name, kind in entries.items()}
    return {"type": "object", "properties": named, "additionalProperties": False}


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _lenient(schema: Any) -> Any:
    """The same schema without what it requires, since a change names only what it changes, and without defaults."""
    if isinstance(schema, dict):
        return {key: _lenient(value) for key, value in schema.items() if key not in ("required", "default")}
    return [_lenient(each) for each in schema] if isinstance(schema, list) else schema
