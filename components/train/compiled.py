"""The network as torch.compile makes it (TorchInductor; Ansel et al. 2024, "PyTorch 2"), for batches of full size.

Compiling takes tens of seconds at each start of a training, so it has to last to gain by it: `python -m bench.gpu` says
what a step gains.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from components.errors import UserError
from components.models.task import TrainingConfig

WORTH_STEPS = 50_000  # on a GPU: at 0.5 ms saved a step, the half minute that compiling takes
OF_THE_COMPILER = ("torch._dynamo", "torch._inductor")


def network(model: nn.Module, config: TrainingConfig, device: torch.device, steps: int) -> nn.Module | None:
    """The compiled model, which shares its weights, or None where the config does not want it; steps: of all epochs.

    `auto` goes by what is known before the training and never by a clock: a training that goes on after a kill has to
    compute what it would have computed.
    """
    wanted = device.type == "cuda" and steps >= WORTH_STEPS if config.compile == "auto" else config.compile
    return torch.compile(model) if wanted else None  # type: ignore[return-value]


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raises UserError where the network cannot be compiled, as without a C++ compiler."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(OF_THE_COMPILER):
            raise
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        told = f"{where}.compile: true: torch cannot compile this network: {reason}"
        raise UserError(f"{told}; set it to false") from None
