"""The entries of params.yaml's groups: their kinds and names, and how one starts from another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.params.declarations import GROUPS, MODELS, config_of, declared_in, single_sections
from components.params.faults import nearest, shown
from components.params.section import Section, derived

NAME = re.compile(r"[a-z][a-z0-9_]*")
NONE = "none"
RESERVED = (NONE, "promoted", "all")
Values = Mapping[str, Any]


def entry_type(group: str, values: Values) -> type[Section]:
    """The type of an entry, whose kind has to be known."""
    return config_of(GROUPS[group].package, GROUPS[group].kind_of(values))


def entry_faults(group: str, name: Any, own: Any, values: Values) -> list[str]:
    """Why an entry cannot be judged at all: no mapping, of an unknown kind, or with a key that another one decides."""
    where, declared = f"{group}.{name}", GROUPS[group]
    known = list(declared_in(declared.package))
    if not isinstance(own, dict):
        needed = f"{declared.key}: one of {', '.join(known)}" if declared.key else "its keys"
        return [f"{where}: expected an entry with {needed}; found {shown(own)}"]
    if declared.key and declared.key not in own:
        return [f"{where}.{declared.key}: missing; allowed: {', '.join(known)}"]
    if declared.kind_of(own) not in known:
        given = own[declared.key]
        return [f"{where}.{declared.key}: {shown(given)} is no {declared.key}{nearest(str(given), known)}"]
    return [
        f"{where}.{key}: unknown key; an entry of backbones says it, which {where}.start names"
        for key in derived(entry_type(group, own))
        if key in own
    ]


def name_faults(values: Values) -> Iterator[str]:
    """Names that cannot be: of the wrong form, taken, or of no entry at all."""
    taken = {name: f"{name}, a section of this file" for name in single_sections()}
    for group in GROUPS:
        entries = values.get(group, {})
        if not isinstance(entries, dict):
            yield f"{group}: expected entries (`name: values`), or {{}} for none; found {shown(entries)}"
            continue
        for name in entries:
            where = f"{group}.{name}"
            if not isinstance(name, str) or not NAME.fullmatch(name):
                yield f"{where}: a name begins with a letter from a to z; letters, digits and _ follow"
            elif name in RESERVED:
                yield f"{where}: {name} is no name to choose, since {', '.join(RESERVED)} mean something else"
            elif name in taken:
                yield f"{where}: the name is taken by {taken[name]}; choose another"
            else:
                taken[name] = where


def unknown_names(where: str, section: Section, values: Values) -> Iterator[str]:
    """Where `data` or `others` names no data set, `model` no model, or `start` nothing that it can start from."""
    models, datasets = list(values.get("models") or {}), list(values.get("data") or {})
    for key, known, what in (
        ("data", datasets, "data set"),
        ("others", datasets, "data set"),
        ("model", models, "model"),
    ):
        given = getattr(section, key, None)
        optional = () if key in getattr(section, "needs", (key,)) else (NONE,)
        if given not in (None, *optional, *known):
            yield f"{where}.{key}: {given!r} is no {what}{nearest(str(given), known)}"
        elif given in known:
            yield from _unfit(f"{where}.{key}", section, "models" if key == "model" else "data", str(given), values)
    if hasattr(section, "start"):
        yield from _start_faults(where, section, values)


def _unfit(where: str, section: Section, group: str, name: str, values: Values) -> Iterator[str]:
    """That a data set is of a kind, or a model of a family, that an entry is not for."""
    own, declared = values[group][name], GROUPS[group]
    fit: tuple[str, ...] = getattr(section, "of" if group == "models" else "reads", ())
    kind = own.get(declared.key) if isinstance(own, dict) else None
    if fit and kind in declared_in(declared.package) and kind not in fit:
        user = getattr(section, "family", None) or getattr(section, "kind", "")
        names = [n for n, other in values[group].items() if isinstance(other, dict) and other.get(declared.key) in fit]
        there = f"; there are: {', '.join(names)}" if names else ""
        yield f"{where}: {name} has the {declared.key} {kind}; {user} takes {' or '.join(fit)}{there}"


def _start_faults(where: str, section: Any, values: Values) -> Iterator[str]:
    models, backbones = values.get("models") or {}, values.get("backbones") or {}
    start, name = section.start, where.partition(".")[2]
    if start not in (NONE, *models, *backbones):
        known = [NONE, *backbones, *models]
        yield f"{where}.start: {start!r} is neither a backbone nor a model{nearest(start, known)}"
        return
    above = [name]
    while start in models:
        if start in above:
            yield f"{where}.start: {' starts from '.join([*above, start])}, which ends nowhere"
            return
        above.append(start)
        start = models[start].get("start", NONE) if isinstance(models[start], dict) else NONE
    family = models[section.start].get("family") if section.start in models else None
    allowed = section.starts_from(section.family)
    found = family or ("backbone" if section.start in backbones else NONE)
    if found not in allowed:
        described = {"backbone": "a backbone", NONE: "none", family: f"a {family}"}[found]
        names = [NONE] if NONE in allowed else []
        names += list(backbones) if "backbone" in allowed else []
        names += [
            n for n, own in models.items() if n != name and isinstance(own, dict) and own.get("family") in allowed
        ]
        yield f"{where}.start: a {section.family} cannot start from {described}; it can from: {', '.join(names)}"
    elif family and (why := section.start_fault(family)):
        yield f"{where}.start: {section.start} is a {family}; {why}"
    elif family:
        yield from _shape_faults(where, section, models[section.start])


def _shape_faults(where: str, section: Any, other: Values) -> Iterator[str]:
    """The values that a model and the one that it starts from must share, so that the weights fit."""
    kind = config_of(MODELS, str(other.get("family")))
    for own_key, other_key in section.shared_with(str(other.get("family"))).items():
        own = getattr(section, own_key)
        theirs = other.get(other_key, kind.model_fields[other_key].default)
        if _plain(own) != _plain(theirs):
            yield (
                f"{where}.{own_key}: {shown(_plain(own))}, but {section.start}, which it starts from, has "
                f"{other_key}: {shown(_plain(theirs))}; make them the same"
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def started_from(values: Values, group: str, own: Values) -> dict[str, Any]:
    """What an entry's `start` decides, where its kind has such keys: the network, and whether that has weights.

    Of a model of this pipeline the network of that model; nothing of one that says it only once it is trained.
    """
    if "backbone" not in derived(entry_type(group, own)):
        return {}
    models, backbones = values.get("models") or {}, values.get("backbones") or {}
    start, seen = own.get("start"), set[Any]()
    while isinstance(start, str) and start in models and start not in seen:
        seen.add(start)
        start = models[start].get("start") if isinstance(models[start], dict) else None
    entry = backbones.get(start) if isinstance(start, str) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("timm"), str):
        return {}
    return {"backbone": entry["timm"], "pretrained": entry.get("weights") != NONE}


def older_form(values: Values) -> str:
    """One sentence if the file is of a version that had no groups, else nothing."""
    former = [*declared_in(MODELS), "mnist", "fashion", "flowers", "voc", "reviews"]
    flat = [name for name in former if isinstance(values.get(name), dict)]
    if not flat or ("models" in values and "data" in values):
        return ""
    return (
        f"{flat[0]}: the file has the form of an earlier version, in which each model and data set had a section; "
        "docs/migration.md says what becomes of each key"
    )
