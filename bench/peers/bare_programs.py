"""The bare PyTorch loops of bench/bare, on one thread, which serves them best. They validate, but say no accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.bare import autoencoder as bare_autoencoder
from bench.bare import cnn as bare_cnn
from bench.bare import lstm as bare_lstm
from bench.peers.programs import Arrays, Epochs


def cnn(data: Arrays, epochs: int) -> Epochs:
    return _trained(bare_cnn.epochs, data, epochs)


def autoencoder(data: Arrays, epochs: int) -> Epochs:
    return _trained(bare_autoencoder.epochs, data, epochs)


def lstm(data: Arrays, epochs: int) -> Epochs:
    return _trained(bare_lstm.epochs, data, epochs)


def _trained(loop: Callable[..., list[float]], data: Arrays, epochs: int) -> Epochs:
    torch.set_num_threads(1)
    return Epochs(
        loop(*(torch.from_numpy(data[key]) for key in ("inputs", "targets", "held_out", "answers")), epochs), []
    )
