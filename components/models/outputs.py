"""The outputs of a network for a batch: one tensor, or a NamedTuple of several, each with a row for each example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def each(change: Callable[[Tensor], Tensor], outputs: Any) -> Any:
    """The same outputs with each tensor changed."""
    return change(outputs) if isinstance(outputs, Tensor) else type(outputs)(*map(change, outputs))


def joined(batches: Sequence[Any]) -> Any:
    """The outputs of several batches as those of one."""
    first = batches[0]
    return (
        torch.cat(list(batches))
        if isinstance(first, Tensor)
        else type(first)(*map(torch.cat, zip(*batches, strict=True)))
    )
