"""How large the gradients and the updates of each layer are: vanishing and exploding show here first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS_MEASURED = 8


class LayerStatistics:
    """Measured at up to 8 evenly spaced steps of an epoch, averaged, for each weight (not bias).

    gradient: the L2 norm of the loss's gradient, before clipping.
    update:   the L2 norm of the step's change over that of the weights; about 1e-3 is healthy.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad and p.dim() > 1}
        self.every = max(1, -(-steps // STEPS_MEASURED))
        self.step = 0
        self.before: list[Tensor] = []
        self.measured: list[tuple[Tensor, Tensor]] = []

    def before_step(self) -> None:
        """Call after backward, before clipping and the optimizer's step."""
        if self.step % self.every == 0:
            if not self.before:
                self.before = [torch.empty_like(w) for w in self.weights.values()]
            for kept, weight in zip(self.before, self.weights.values(), strict=True):
                kept.copy_(weight.detach())
            self.sizes = torch.stack([kept.norm() for kept in self.before])
            self.gradients = torch.stack([_norm(w.grad, w) for w in self.weights.values()])

    def after_step(self) -> None:
        """Call after the optimizer's step."""
        if self.step % self.every == 0:
            pairs = zip(self.weights.values(), self.before, strict=True)
            changes = torch.stack([kept.sub_(weight.detach()).norm() for weight, kept in pairs])
            # Of a weight that began as zeros, against what it is after the step, which is the change.
            sizes = torch.where(self.sizes > 0, self.sizes, changes).clamp_min(1e-12)
            self.measured.append((self.gradients, changes / sizes))
        self.step += 1

    def layers(self) -> dict[str, dict[str, float]]:
        gradients, updates = (torch.stack(m).mean(dim=0).tolist() for m in zip(*self.measured, strict=True))
        names = zip(self.weights, gradients, updates, strict=True)
        return {name: {"gradient": gradient, "update": update} for name, gradient, update in names}

    def total(self) -> float:
        """The norm of all weights' gradients together, averaged over the measured steps."""
        return torch.stack([gradients.norm() for gradients, _ in self.measured]).mean().item()


def _norm(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros((), device=like.device) if gradient is None else gradient.detach().norm()
