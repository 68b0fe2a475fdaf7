"""Batch norm in training (Ioffe and Szegedy 2015), beside its layers.

The means and variances that a trained model normalises with are, in PyTorch, averages that forget slowly (by
`momentum`, 0.03 a step in SSDLite): after a short training they are still those of weights long gone. They are measured
anew after each epoch, with its weights, as plain averages over training batches (PreciseBN: Wu and Johnson 2021,
"Rethinking 'Batch' in BatchNorm", section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from components.errors import UserError

MEASURED_BATCHES = 32  # at most, of an epoch; as many as an average with SSDLite's momentum of 0.03 is about
TOO_FEW = "Expected more than 1 value per channel when training"  # torch's words


def trained(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms of a model whose statistics training changes; those of frozen layers stay as they are."""
    was = model.training
    model.train()
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    model.train(was)
    return layers


@contextmanager
def measured_anew(model: nn.Module, norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Within the block, what the model is given is what `norms` take their statistics of, each batch alike.

    All else is as in use, without dropout: what the layers then see is what the statistics are for.
    """
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()


@contextmanager
def explained(where: str, workers: int) -> Iterator[None]:
    """A lone example is no batch to normalise, and the user can mend that: raises UserError in place of torch's own."""
    try:
        yield
    except ValueError as error:
        if TOO_FEW not in str(error):
            raise
        raise UserError(
            f"{where}: batch norm cannot normalise one example alone; set {where}.batch_size to {2 * workers} or more, "
            f"and have as many training examples, so that each worker gets two"
        ) from None
