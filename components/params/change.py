"""Values written into params.yaml, where all else stays as it is, to the byte."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from components.errors import ParamsError
from components.files import write_whole
from components.params import params
from components.params.search_space import Values

WIDTH = 80  # beyond which DVC folds a mapping on one line


def apply(file: Path, where: str, values: Values) -> None:
    """Set keys of a section or an entry, such as models.cnn; those that are not there yet are added.

    A comment behind a value stays in its column if there is room. Raises ParamsError, with nothing written, if the file
    would not be allowed.
    """
    text = file.read_text(encoding="utf-8")
    path = where.split(".")
    for key, value in values.items():
        text = _as_dvc(_with(text, path, key, as_yaml(value)), path)
    _write(file, text)


def add_entry(file: Path, group: str, name: str, values: Values) -> str:
    """Add an entry behind the others of its group; its text there. Raises ParamsError as `apply` does."""
    text = file.read_text(encoding="utf-8")
    written = ", ".join(f"{key}: {as_yaml(value)}" for key, value in values.items())
    mapping = _mapping(text, [group]) if has(text, group) else None
    if mapping is None:
        text = f"{text.rstrip()}\n\n{group}:\n  {name}: {{{written}}}\n"
    elif not mapping.value:  # {}
        text = f"{text[: mapping.start_mark.index].rstrip()}\n  {name}: {{{written}}}{text[mapping.end_mark.index :]}"
    else:
        text = _with(text, [group], name, f"{{{written}}}")
    text = _as_dvc(text, [group, name])
    _write(file, text)
    entry = _mapping(text, [group, name])
    start = text.rfind(f"{name}:", 0, entry.start_mark.index)
    return "  " + text[start : _end(text, entry)]


def remove_entries(file: Path, entries: Sequence[tuple[str, str]]) -> None:
    """Take entries, each (group, name), out with the lines that they fill. Raises ParamsError as `apply` does."""
    text = file.read_text(encoding="utf-8")
    for group, name in entries:
        text = _without(text, group, name)
    _write(file, text)


def _without(text: str, group: str, name: str) -> str:
    mapping = _mapping(text, [group])
    assert not mapping.flow_style, "a group of entries stands on lines of its own"
    key, value = next((key, value) for key, value in mapping.value if key.value == name)
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    rest = text[_end(text, value) :]
    rest = rest[rest.find("\n") + 1 :] if "\n" in rest else ""
    return f"{text[:start].rstrip()} {{}}\n{rest}" if len(mapping.value) == 1 else text[:start] + rest


def rename_entry(file: Path, group: str, old: str, new: str, others: Sequence[tuple[str, str, str]]) -> None:
    """Give an entry another name. Raises ParamsError as `apply` does.

    others: (group, entry, key) of the values that name it.
    """
    text = file.read_text(encoding="utf-8")
    places = [key for key, _ in _mapping(text, [group]).value if key.value == old]
    if group == "models" and has(text, "sweep"):
        families = {
            value.value for _, own in _mapping(text, [group]).value for key, value in own.value if key.value == "family"
        }
        places += [key for key, _ in _mapping(text, ["sweep"]).value if key.value == old and old not in families]
    for path in others:
        places.append(next(value for key, value in _mapping(text, path[:2]).value if key.value == path[2]))
    for node in sorted(places, key=lambda node: node.start_mark.index, reverse=True):
        text = text[: node.start_mark.index] + new + text[node.end_mark.index :]
    for entry in {(group, new), *((path[0], new if path[1] == old else path[1]) for path in others)}:
        text = _narrow(text, entry)
    _write(file, text)


def has(text: str, group: str) -> bool:
    """Whether a section of that name holds anything."""
    node: Node = YAML().compose(text)
    assert isinstance(node, MappingNode), "the file was loaded before"
    return any(key.value == group and isinstance(value, MappingNode) for key, value in node.value)


def _end(text: str, node: Node) -> int:
    """Where a value ends, without the empty lines and comments that follow it."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return len(text[: node.end_mark.index].rstrip())


def _write(file: Path, text: str) -> None:
    """Write the file if it is allowed. Raises ParamsError."""
    draft = file.with_name(f".{file.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        params.load(draft)
    except ParamsError as error:
        raise ParamsError(file, error.faults) from None
    finally:
        draft.unlink(missing_ok=True)
    write_whole(file, text)


def _with(text: str, path: Sequence[str], key: str, new: str) -> str:
    """The text with a key of the mapping at `path` set."""
    mapping = _mapping(text, path)
    for name, value in mapping.value:
        if name.value == key:
            if isinstance(value, SequenceNode) and not value.flow_style:  # it begins where the key does
                return f"{text[: name.end_mark.index]}: {new}{text[_end(text, value) :]}"
            return _replaced(text, value.start_mark.index, _end(text, value), new)
    if mapping.flow_style:
        end = mapping.end_mark.index - 1
        return f"{text[:end].rstrip()}{', ' if mapping.value else ''}{key}: {new}{text[end:]}"
    end = _end(text, mapping)
    line_end = end + len(re.match(r"[^\n]*", text[end:])[0])  # type: ignore[index]
    return f"{text[:line_end]}\n{' ' * mapping.start_mark.column}{key}: {new}{text[line_end:]}"


def _as_dvc(text: str, path: Sequence[str]) -> str:
    """The text with the mapping at `path` as DVC would write it again, so that it leaves those lines alone later."""
    return _listed(_narrow(text, path), path)


def _listed(text: str, path: Sequence[str]) -> str:
    """The text with an item a line in each list of the mapping at `path`, where that has a line for each key."""
    mapping = _mapping(text, path)
    indent = " " * mapping.start_mark.column
    for name, value in [] if mapping.flow_style else reversed(mapping.value):
        if isinstance(value, SequenceNode) and value.flow_style and value.value:
            items = [text[item.start_mark.index : item.end_mark.index] for item in value.value]
            lines = "".join(f"\n{indent}- {item}" for item in items)
            text = f"{text[: name.end_mark.index]}:{lines}{text[value.end_mark.index :]}"
    return text


def _narrow(text: str, path: Sequence[str]) -> str:
    """The text with the mapping at `path` on lines of its own, where it is too wide for one."""
    mapping = _mapping(text, path)
    start, end = mapping.start_mark.index, mapping.end_mark.index
    line = text[text.rfind("\n", 0, start) + 1 : end]
    if not mapping.flow_style or len(line) <= WIDTH or not mapping.value:
        return text
    indent = " " * (2 * len(path))
    own = [
        f"\n{indent}{name.value}: {text[value.start_mark.index : value.end_mark.index]}"
        for name, value in mapping.value
    ]
    return f"{text[:start].rstrip()}{''.join(own)}{text[end:]}"


def _mapping(text: str, path: Sequence[str]) -> MappingNode:
    node: Node = YAML().compose(text)
    for key in path:
        assert isinstance(node, MappingNode), "the file was loaded before"
        node = next(value for name, value in node.value if name.value == key)
    assert isinstance(node, MappingNode)
    return node


def _replaced(text: str, start: int, end: int, new: str) -> str:
    after = text[end:]
    if comment := re.match(r" +(?=#)", after):
        spaces = len(comment.group()) + (end - start) - len(new)
        after = " " * max(1, spaces) + after[comment.end() :]
    return text[:start] + new + after


def as_yaml(value: Any) -> str:
    """A value as params.yaml writes it: on one line, numbers without exponents."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return str(np.format_float_positional(value, trim="0"))
    if isinstance(value, str):
        return _scalar(value)
    return str(value)


def _scalar(value: str) -> str:
    """A text as DVC writes it again: in quotes only where it needs them."""
    written, yaml = StringIO(), YAML()
    yaml.default_flow_style, yaml.width = True, 2**16
    yaml.dump([value], written)
    text = written.getvalue().strip().removeprefix("[").removesuffix("]")
    # ruamel writes such a text plain, and refuses to read it between braces.
    return "'" + value.replace("'", "''") + "'" if ":" in text and text[0] not in "'\"" else text
