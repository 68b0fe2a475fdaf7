"""Values written into params.yaml, where all else stays as it is, to the byte."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

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
        text = _narrow(_with(text, path, key, as_yaml(value)), path)
    draft = file.with_name(f".{file.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        params.load(draft)
    finally:
        draft.unlink(missing_ok=True)
    write_whole(file, text)


def _with(text: str, path: Sequence[str], key: str, new: str) -> str:
    """The text with a key of the mapping at `path` set."""
    mapping = _mapping(text, path)
    for name, value in mapping.value:
        if name.value == key:
            return _replaced(text, value.start_mark.index, value.end_mark.index, new)
    if mapping.flow_style:
        end = mapping.end_mark.index - 1
        return f"{text[:end].rstrip()}{', ' if mapping.value else ''}{key}: {new}{text[end:]}"
    _, last = mapping.value[-1]
    end = len(text[: last.end_mark.index].rstrip())
    line_end = end + len(re.match(r"[^\n]*", text[end:])[0])  # type: ignore[index]
    return f"{text[:line_end]}\n{' ' * mapping.start_mark.column}{key}: {new}{text[line_end:]}"


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
    return str(value)
