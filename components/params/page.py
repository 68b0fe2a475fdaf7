"""All keys of params.yaml on a page, from where they are declared: docs/parameters.md.

python -m components.params --page > docs/parameters.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticUndefined

from components.params.declarations import GROUPS, SINGLE, config_of, declared_in
from components.params.params import General
from components.params.section import Section, derived

HEAD = """\
# All keys of params.yaml

Printed by `python -m components.params --page`. An entry has the keys of its kind or family; those without a default
must stand in it. `python -m components.params NAME` shows one entry's keys with their values.
"""
OF_GROUP = {
    "data": "an entry's kind is how its files are read",
    "backbones": "published networks that models start from",
    "models": "an entry's family is what it is and how it trains",
    "baselines": "models without a network",
    "studies": "what is measured beyond a model's test",
}


def page() -> str:
    """Markdown."""
    return "\n".join([HEAD, *_general(), *(line for group in GROUPS for line in _group(group)), *_singles()])


def _general() -> Iterator[str]:
    yield "## The file itself\n"
    yield from _table(_keys(General, ""))


def _group(group: str) -> Iterator[str]:
    """A table of the keys that all kinds share with the same default and meaning, then one for each kind's others."""
    package = GROUPS[group].package
    kinds = {name: _keys(config_of(package, name), "") for name in declared_in(package)}
    shared = _shared([*kinds.values()])
    yield f"## {group}: {OF_GROUP[group]}\n"
    yield from _table(shared)
    for name, keys in kinds.items():
        own = {key: row for key, row in keys.items() if shared.get(key) != row}
        if len(kinds) == 1:
            continue
        yield f"### {GROUPS[group].key}: {name}\n"
        doc = (inspect.getdoc(inspect.getmodule(config_of(package, name))) or "").split("\n\n")[0]
        yield " ".join(doc.split()) + "\n"
        yield from _table(own) if own else ["No keys of its own.\n"]


def _shared(kinds: list[Mapping[str, tuple[str, str]]]) -> dict[str, tuple[str, str]]:
    first, *others = kinds
    return {key: row for key, row in first.items() if all(other.get(key) == row for other in others)}


def _singles() -> Iterator[str]:
    yield "## evaluation: what only an evaluation reads\n"
    for package in SINGLE:
        for name in declared_in(package):
            yield from _table(_keys(config_of(package, name), f"{name}."))


def _keys(section: type[Section], prefix: str) -> dict[str, tuple[str, str]]:
    """Key → (its default, its meaning), of nested sections too."""
    keys: dict[str, tuple[str, str]] = {}
    for key, field in section.model_fields.items():
        kind: Any = field.annotation
        if key in derived(section):
            continue
        if inspect.isclass(kind) and issubclass(kind, Section):
            keys |= _keys(kind, f"{prefix}{key}.")
        else:
            keys[f"{prefix}{key}"] = (_shown(field.get_default(call_default_factory=True)), field.description or "")
    return keys


def _shown(default: Any) -> str:
    if default is PydanticUndefined:
        return ""
    if isinstance(default, Section):
        return "its own"
    value = list(default) if isinstance(default, tuple) else default
    text = {"True": "true", "False": "false", "None": "null", "": '""'}.get(str(value), str(value))
    return f"`{text}`" if len(text) <= 60 else f"`{text[:57]}...`"


def _table(keys: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield "| key | default | meaning |\n| --- | --- | --- |"
    for key, (default, meaning) in keys.items():
        escaped = meaning.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
        yield f"| `{key}` | {default or '—'} | {escaped} |"
    yield ""
