"""Values written into params.yaml, where all else stays as it is, to the byte."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from components.files import write_whole
from components.params import params
from components.params.search_space import Values


def apply(file: Path, section: str, values: Values) -> None:
    """Set keys of a section. A comment behind a value stays in its column if there is room.

    Raises ParamsError, with nothing written, if the file would not be allowed.
    """
    text = file.read_text(encoding="utf-8")
    for key, value in values.items():
        node = _value(_value(YAML().compose(text), section), key)
        text = _replaced(text, node.start_mark.index, node.end_mark.index, as_yaml(value))
    draft = file.with_name(f".{file.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        params.load(draft)
    finally:
        draft.unlink(missing_ok=True)
    write_whole(file, text)


def _value(node: Node, key: str) -> Node:
    assert isinstance(node, MappingNode), "the file was loaded before"
    value: Node = next(value for name, value in node.value if name.value == key)
    return value


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
