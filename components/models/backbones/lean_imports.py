"""timm and torchvision without torch's compiler, which both import for a word, and which takes as long as torch itself.

torchvision's roi_align asks whether it could compile, and one of timm's networks asks not to be compiled. Neither is
used here, and where a later version asks for more, its import brings the compiler as before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

COMPILER, ASKED = "torch._dynamo", "torch._dynamo.utils"


def load() -> None:
    """Import both, unless the compiler is there already."""
    if COMPILER in sys.modules:
        return
    with _stand_ins(), suppress(ImportError, AttributeError):
        import torchvision  # noqa: F401, I001
        import timm  # noqa: F401


@contextmanager
def _stand_ins() -> Iterator[None]:
    import torch.compiler

    asked, disable = ModuleType(ASKED), torch.compiler.disable
    asked.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules[ASKED] = asked
    torch.compiler.disable = _left_as_it_is  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compiler.disable = disable
        if sys.modules.get(ASKED) is asked:
            del sys.modules[ASKED]


def _is_compile_supported(device_type: Any) -> bool:
    """The compiler's own answer, once somebody asks."""
    from torch._dynamo.utils import is_compile_supported

    return bool(is_compile_supported(device_type))


def _left_as_it_is(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    return function or _left_as_it_is
