"""Why an LSTM: how far back gradients reach, in a plain RNN and in LSTMs, on a task of long memory.

The task: the first of many steps shows one of two signs, noise follows, and after the last step the sign is asked for
(after the latch problem of Bengio, Simard and Frasconi 1994). It is synthetic: the study needs neither data nor model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import Split
from components.models.recurrent import Cell, Recurrent
from components.plots.metric import Metric
from components.plots.palette import BLUE, GREY, ORANGE, PALE
from components.plots.tables import write_tables

if TYPE_CHECKING:
    from components.models.artifact import Artifact
from components.studies.study import StudyConfig

NOISE, TESTED = 0.1, 500
COLOURS = {"plain_rnn": ORANGE, "lstm": GREY, "remembering_lstm": BLUE}
METRICS = {
    "plain_rnn": Metric("accuracy of a plain RNN"),
    "lstm": Metric("accuracy of an LSTM started as PyTorch does"),
    "remembering_lstm": Metric("accuracy of an LSTM started to remember"),
}


class Config(StudyConfig):
    steps: int = Field(200, ge=2, description="an integer >= 2: steps of a sequence, the sign being in the first")
    width: int = Field(32, ge=1, description="an integer >= 1: recurrent neurons")
    batch_size: int = Field(64, ge=1, description="an integer >= 1")
    training_steps: int = Field(150, ge=0, description="an integer >= 0: of a short training by Adam")
    learning_rate: float = Field(0.005, gt=0, description="a number > 0")


class FirstSign(nn.Module):
    """Sequences (batch, steps, 1) → logits (batch, 2) of what the first step showed."""

    def __init__(self, cell: Cell, width: int, memory: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(cell, 1, [width], memory=memory)
        self.dense = nn.Linear(width, 2)

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


def measure(config: Config, cell: Cell, memory: int) -> Reach:
    """Build a network by a fixed seed, measure its gradients, and train it.

    memory: how many steps an LSTM begins to remember; 0: PyTorch's own start.
    """
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FirstSign(cell, config.width, memory)
        values, signs = sequences(config.batch_size, config.steps, random)
        norms = gradients_by_step(model.double(), values.double(), signs)  # in float32 they are soon 0
        model.float()
        optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        for _ in range(config.training_steps):
            values, signs = sequences(config.batch_size, config.steps, random)
            optimizer.zero_grad()
            functional.cross_entropy(model(values), signs).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    values, signs = sequences(TESTED, config.steps, random)
    with torch.inference_mode():
        right = (model(values).argmax(dim=1) == signs).double().mean().item()
    return Reach(norms, right)


@contextmanager
def one_thread() -> Iterator[None]:
    """More gain nothing on matrices this small, and wait for each other where another process is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reaches(config: Config) -> dict[str, Reach]:
    """Of each kind of network, by its name in METRICS."""
    with one_thread():
        return {
            "plain_rnn": measure(config, "rnn", 0),
            "lstm": measure(config, "lstm", 0),
            "remembering_lstm": measure(config, "lstm", config.steps),
        }


def draw(config: Config, reached: dict[str, Reach], file: Path) -> None:
    """The gradients by step of each kind of network on a logarithmic scale, with what each learnt."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axis = figure.subplots()
    for name, reach in reached.items():
        kind = METRICS[name].label.removeprefix("accuracy of ")
        label = f"{kind}: after {config.training_steps} training steps right in {reach.accuracy:.0%}"
        axis.plot(range(1, config.steps + 1), reach.gradients, color=COLOURS[name], label=label)
    axis.set(yscale="log", ylim=(1e-40, 1), xlabel="step", ylabel="gradient of the last answer's loss")
    title = f"What the first of {config.steps} steps showed is asked for after the last; chance is 50 %"
    axis.set_title(title, fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=PALE)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    figure.savefig(file, dpi=150, metadata={"Software": None})


def evaluate(
    config: Config, models: Callable[[str], Artifact], splits: Callable[[str], Split], folder: Path
) -> dict[str, float]:
    """The accuracy of each kind of network after its training, and gradient_reach.png."""
    reached = reaches(config)
    draw(config, reached, folder / "gradient_reach.png")
    write_tables(folder, [], "How far back gradients reach: why an LSTM")
    return {name: reach.accuracy for name, reach in reached.items()}
