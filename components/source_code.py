"""Which of this tool's modules something depends on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def reached_modules(modules: set[ModuleType]) -> set[ModuleType]:
    """These modules of components, and all that they import of components."""
    found: set[ModuleType] = set()
    waiting = set(modules)
    while waiting:
        module = waiting.pop()
        found.add(module)
        names = {
            getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in vars(module).values()
        }
        own = {name for name in names if isinstance(name, str) and name.startswith("components.")}
        waiting |= {sys.modules[name] for name in own if name in sys.modules} - found
    return found


def source_of(module: ModuleType, function: Callable[..., Any]) -> list[str]:
    """The text of every module that this one and the function's depend on, in the order of their names."""
    own = inspect.getmodule(function)
    assert own is not None
    modules = sorted(reached_modules({module, own}), key=lambda each: each.__name__)
    return [inspect.getsource(each) for each in modules]
