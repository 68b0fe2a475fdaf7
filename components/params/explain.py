"""Every key of an entry of params.yaml: its value, where that is from, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import UserError
from components.params.faults import nearest
from components.params.params import Params
from components.params.section import Section, derived


def explain(settings: Params, name: str) -> str:
    """A line for each key. A value that is the default is marked by a dot in front.

    Raises UserError, with the nearest right name, where nothing in the file is called so.
    """
    if name not in settings.sections:
        raise UserError(f"{name!r} stands nowhere in params.yaml{nearest(name, list(settings.sections))}")
    section = settings.sections[name]
    rows = [*_rows(section, settings.values(name), "")]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{key:<{widths[0]}}  {value:<{widths[1]}}  {meaning}".rstrip() for key, value, meaning in rows]
    return "\n".join([f"{section.where}:", *lines, "", "· is a default, which params.yaml need not hold."])


def _rows(section: Section, given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    """(key, value, meaning), of nested sections too."""
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if key in derived(type(section)):
            continue
        if isinstance(value, Section):
            yield from _rows(value, given.get(key, {}), f"{prefix}{key}.")
            continue
        mark = " " if key in given else "·"
        shown = value if isinstance(value, str) else repr(list(value) if isinstance(value, tuple) else value)
        shown = {"True": "true", "False": "false", "None": "null"}.get(str(shown), str(shown))
        yield f"{mark} {prefix}{key}", shown if len(shown) <= 40 else f"{shown[:37]}...", field.description or ""
