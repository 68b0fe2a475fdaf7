"""Recurrent networks over sequences of different lengths.

LSTM (Hochreiter and Schmidhuber 1997) or plain RNN (Elman 1990), in layers of any width, one way or both, with
back-propagation through time in full or truncated.

Sequences are padded behind. What a recurrent layer gives for a step does not depend on the steps after it, so padding
is computed and left unread; the way back reads each sequence from its own end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Cell = Literal["lstm", "rnn"]


class Recurrent(nn.Module):
    """Values (batch, steps, inputs) with lengths (batch,) → outputs (batch, steps, `width`), the last layer's.

    truncation: the steps k after which the state is carried on but the graph is cut (Williams and Peng 1990); 0: never.
                Pieces are counted from where a layer begins to read, so the last one may be shorter.
    memory:     for LSTM, how many steps the forget gates begin to remember (Tallec and Ollivier 2018: forget biases
                log U(1, memory - 1), input biases their negatives); 0: PyTorch's own start.
    """

    def __init__(
        self,
        cell: Cell,
        inputs: int,
        widths: Sequence[int],
        both_ways: bool = False,
        dropout: float = 0.0,
        truncation: int = 0,
        memory: int = 0,
    ) -> None:
        super().__init__()
        self.truncation, self.dropout = truncation, dropout
        ways = 2 if both_ways else 1
        kind = nn.LSTM if cell == "lstm" else nn.RNN
        sizes = [inputs, *(width * ways for width in widths[:-1])]
        self.layers = nn.ModuleList(
            nn.ModuleList(kind(size, width, batch_first=True) for _ in range(ways))
            for size, width in zip(sizes, widths, strict=True)
        )
        self.width = widths[-1] * ways
        if memory and cell == "lstm":
            for layer in self.layers.modules():
                if isinstance(layer, nn.LSTM):
                    remember(layer, memory)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        # Under autocast cuDNN's recurrent layers compute in float16 whatever is asked for, where small gradients are 0.
        with torch.autocast(values.device.type, enabled=False):
            return self._layers(values.to(next(self.parameters()).dtype), lengths)

    def _layers(self, values: Tensor, lengths: Tensor) -> Tensor:
        back = from_the_end(lengths, values.shape[1])
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleList)
            if number:
                values = functional.dropout(values, self.dropout, self.training)
            outputs = [truncated(layer[0], values, self.truncation)]
            if len(layer) > 1:
                turned = truncated(layer[1], reordered(values, back), self.truncation)
                outputs.append(reordered(turned, back))
            values = torch.cat(outputs, dim=2)
        return values


def truncated(layer: nn.Module, values: Tensor, steps: int) -> Tensor:
    """The layer's outputs at every step; after each `steps` the state goes on without its history, unless 0."""
    if steps <= 0 or steps >= values.shape[1]:
        outputs: Tensor = layer(values)[0]
        return outputs
    parts, state = [], None
    for part in values.split(steps, dim=1):
        own, state = layer(part, state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        parts.append(own)
    return torch.cat(parts, dim=1)


def from_the_end(lengths: Tensor, steps: int) -> Tensor:
    """For each step of each sequence the step as many from its end; padding stays where it is: (batch, steps)."""
    step = torch.arange(steps, device=lengths.device).expand(len(lengths), steps)
    return torch.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)


def reordered(values: Tensor, order: Tensor) -> Tensor:
    """(batch, steps, width) with each sequence's steps in its order, (batch, steps)."""
    return values.gather(1, order[..., None].expand_as(values))


def remember(layer: nn.LSTM, steps: int) -> None:
    """Biases whose forget gates let a state live for up to `steps` steps (Tallec and Ollivier 2018, equation 16)."""
    width = layer.hidden_size
    with torch.no_grad():
        forget = torch.empty(width).uniform_(1, max(2, steps - 1)).log()
        for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
            assert isinstance(bias, Tensor)
            bias[: 2 * width] = 0  # PyTorch's order: input, forget, cell, output
        assert isinstance(layer.bias_ih_l0, Tensor)
        layer.bias_ih_l0[:width] = -forget
        layer.bias_ih_l0[width : 2 * width] = forget


def pooled(outputs: Tensor, lengths: Tensor, how: str, both_ways: bool) -> Tensor:
    """(batch, steps, width) → (batch, width): the last step's outputs, or the mean or maximum over a sequence's steps.

    Both ways, the last step of the way back is a sequence's first.
    """
    rows = torch.arange(len(outputs), device=outputs.device)
    if how == "last":
        last = outputs[rows, lengths - 1]
        half = outputs.shape[2] // 2
        return torch.cat([last[:, :half], outputs[:, 0, half:]], dim=1) if both_ways else last
    inside = (torch.arange(outputs.shape[1], device=outputs.device) < lengths[:, None])[..., None]
    if how == "mean":
        return (outputs * inside).sum(dim=1) / lengths[:, None]
    return outputs.masked_fill(~inside, -torch.inf).amax(dim=1)
