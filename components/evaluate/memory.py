"""Why an LSTM: how far back gradients reach, in a plain RNN and in LSTMs, on a task of long memory.

The task: the first of many steps shows one of two signs, noise follows, and after the last step the sign is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.recurrent import Cell, Recurrent

STEPS, WIDTH, BATCH = 200, 32, 64
TRAINING_STEPS, LEARNING_RATE = 150, 0.005
NOISE = 0.1
KINDS: tuple[tuple[str, Cell, int], ...] = (
    ("plain RNN", "rnn", 0),
    ("LSTM, started as PyTorch does", "lstm", 0),
    (f"LSTM, started to remember {STEPS} steps", "lstm", STEPS),
)


class FirstSign(nn.Module):
    """Sequences (batch, steps, 1) → logits (batch, 2) of what the first step showed."""

    def __init__(self, cell: Cell, memory: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(cell, 1, [WIDTH], memory=memory)
        self.dense = nn.Linear(WIDTH, 2)

    def forward(self, values: Tensor) -> Tensor:
        lengths = torch.full((len(values),), values.shape[1], device=values.device)
        logits: Tensor = self.dense(self.recurrent(values, lengths)[:, -1])
        return logits


@dataclass(frozen=True)
class Reach:
    """How far back a network's gradients reach: their norms by step, before training, and what it then learnt.

    gradients: (steps,), the L2 norm of the loss's gradient at each step's input, over a batch.
    accuracy:  after a short training, on new sequences; 0.5 is chance.
    """

    name: str
    gradients: Tensor
    accuracy: float


def sequences(count: int, steps: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """((count, steps, 1) values, (count,) signs as 0 or 1)."""
    signs = torch.randint(0, 2, (count,), generator=random)
    values = NOISE * torch.randn(count, steps, 1, generator=random)
    values[:, 0, 0] = 2.0 * signs - 1
    return values, signs


def gradients_by_step(model: nn.Module, values: Tensor, signs: Tensor) -> Tensor:
    """(steps,): the L2 norm of the loss's gradient at each step's input."""
    values = values.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(functional.cross_entropy(model(values), signs), values)
    return gradient.square().sum(dim=(0, 2)).sqrt()


def measure(name: str, cell: Cell, memory: int, steps: int = STEPS, trained: int = TRAINING_STEPS) -> Reach:
    """Build a network by a fixed seed, measure its gradients, and train it for `trained` steps with Adam."""
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FirstSign(cell, memory)
        values, signs = sequences(BATCH, steps, random)
        found = gradients_by_step(model.double(), values.double(), signs)  # in float32 they are soon 0
        model.float()
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        for _ in range(trained):
            values, signs = sequences(BATCH, steps, random)
            optimizer.zero_grad()
            functional.cross_entropy(model(values), signs).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    values, signs = sequences(500, steps, random)
    with torch.inference_mode():
        right = (model(values).argmax(dim=1) == signs).double().mean().item()
    return Reach(name, found, right)


@contextmanager
def one_thread() -> Iterator[None]:
    """More gain nothing on matrices this small, and wait for each other where another process is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def draw_memory(file: Path, steps: int = STEPS, trained: int = TRAINING_STEPS) -> list[Reach]:
    """The gradients by step of each kind of network on a logarithmic scale, with what each learnt; return them."""
    from matplotlib.figure import Figure

    with one_thread():
        found = [measure(*kind, steps=steps, trained=trained) for kind in KINDS]
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axis = figure.subplots()
    for reach, colour in zip(found, ("#d1603d", "#8a98a5", "#1f6f8b"), strict=True):
        label = f"{reach.name}: after {trained} training steps right in {reach.accuracy:.0%}"
        axis.plot(range(1, steps + 1), reach.gradients, color=colour, label=label)
    axis.set(yscale="log", ylim=(1e-40, 1), xlabel="step", ylabel="gradient of the last answer's loss")
    axis.set_title(f"What the first of {steps} steps showed is asked for after the last; chance is 50 %", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#dfe5ea")
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    figure.savefig(file, dpi=150, metadata={"Software": None})
    return found
