"""The JSON schema of changes to params.yaml: any of its values within their ranges, none of them needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

FIXED = ("paths",)  # where things lie is no run's to change


def of_changes(general: type[BaseModel], sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """{"schema": of an object as nested as params.yaml, "definitions": what it refers to as #/definitions/NAME}."""
    refs, all_of_them = models_json_schema(
        [(kind, "validation") for kind in (general, *sections.values())], ref_template="#/definitions/{model}"
    )
    definitions = {name: _lenient(each) for name, each in all_of_them["$defs"].items()}
    own = definitions.pop(_name(refs[general, "validation"]))["properties"]
    properties = {name: each for name, each in own.items() if name not in FIXED}
    properties |= {name: refs[kind, "validation"] for name, kind in sections.items()}
    return {"schema": {"properties": properties, "additionalProperties": False}, "definitions": definitions}


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _lenient(schema: Any) -> Any:
    """The same schema without what it requires, since a change names only what it changes."""
    if isinstance(schema, dict):
        return {key: _lenient(value) for key, value in schema.items() if key != "required"}
    return [_lenient(each) for each in schema] if isinstance(schema, list) else schema
