"""Messages about the faults of a params.yaml: where, what stands there, what is allowed, what may have been meant."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic_core import ErrorDetails
from ruamel.yaml.error import YAMLError

from components.params.section import Section


def yaml_fault(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{problem}{where}"


def fault(kind: type[Section], prefix: str, details: ErrorDetails) -> str:
    path = prefix + ".".join(str(part) for part in details["loc"])
    owner, description = _declared(kind, details["loc"])
    if details["type"] == "extra_forbidden":
        parent = prefix + "".join(f"{part}." for part in details["loc"][:-1])
        near = nearest(str(details["loc"][-1]), list(owner.model_fields), parent)
        return f"{path}: unknown key (its value is {shown(details['input'])}){near}"
    allowed = f"; allowed: {description}" if description else ""
    if details["type"] == "missing":
        return f"{path}: missing{allowed}"
    message = details["msg"].removeprefix("Value error, ")
    return f"{path}: {shown(details['input'])} is not allowed: {message[0].lower()}{message[1:]}{allowed}"


def _declared(kind: type[Section], location: tuple[int | str, ...]) -> tuple[type[Section], str | None]:
    """The section that the last part of a location stands in, and that key's description."""
    owner, description = kind, None
    for part in location:
        field = owner.model_fields.get(str(part))
        if field is None:
            break
        description = field.description
        nested = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        owner = next((t for t in nested if issubclass(t, Section)), owner)
    return owner, description


def nearest(name: str, known: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {prefix}{near[0]}?"
    return f"; known here: {', '.join(known)}"


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def kind_of(value: Any) -> str:
    return {str: "text", list: "list", int: "number", float: "number", bool: "true/false"}.get(
        type(value), type(value).__name__
    )
