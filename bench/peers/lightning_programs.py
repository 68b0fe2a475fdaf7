"""The same networks trained by Lightning's Trainer, as its own documentation would: a module, a loader, fit."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from bench.bare import autoencoder as bare_autoencoder
from bench.bare import cnn as bare_cnn
from bench.bare import lstm as bare_lstm
from bench.peers.programs import BATCHES, Arrays, Epochs, buckets


class Classifier(lightning.LightningModule):  # type: ignore[misc]
    """A network, its learning rate, and the accuracy of each epoch's validation."""

    def __init__(self, network: nn.Module, rate: float) -> None:
        super().__init__()
        self.network, self.rate = network, rate
        self.seconds: list[float] = []
        self.measured: list[float] = []

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        inputs, targets = batch
        return functional.cross_entropy(self.network(inputs), targets)

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        inputs, targets = batch
        self.log("accuracy", (self.network(inputs).argmax(dim=1) == targets).float().mean(), batch_size=len(inputs))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.rate)

    def on_train_epoch_start(self) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self) -> None:  # after the epoch's validation
        self.seconds.append(time.perf_counter() - self.started)
        self.measured.append(float(self.trainer.callback_metrics["accuracy"]))


class Autoencoder(Classifier):
    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        values = batch[0].flatten(1)
        return functional.binary_cross_entropy_with_logits(self.network(values), values)

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        values = batch[0].flatten(1)
        same = (self.network(values) > 0) == (values > 0.5)
        self.log("accuracy", same.float().mean(), batch_size=len(values))


class Texts(IterableDataset[tuple[Tensor, Tensor]]):
    def __init__(self, texts: Any, targets: Any, shuffled: bool) -> None:
        self.texts, self.targets, self.shuffled = texts, targets, shuffled

    def __len__(self) -> int:
        return -(-len(self.texts) // BATCHES["lstm"])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in buckets(self.texts, self.shuffled):
            longest = int((self.texts[rows] != 0).sum(axis=1).max())
            yield torch.from_numpy(self.texts[rows, :longest]).long(), torch.from_numpy(self.targets[rows])


def cnn(data: Arrays, epochs: int) -> Epochs:
    return _fitted(Classifier(bare_cnn.network(), 0.001), *_images(data, BATCHES["cnn"]), epochs)


def autoencoder(data: Arrays, epochs: int) -> Epochs:
    return _fitted(Autoencoder(bare_autoencoder.network(), 0.01), *_images(data, BATCHES["autoencoder"]), epochs)


def lstm(data: Arrays, epochs: int) -> Epochs:
    words = 1 + int(max(data["inputs"].max(), data["held_out"].max()))
    train = DataLoader(Texts(data["inputs"], data["targets"], shuffled=True), batch_size=None)
    held_out = DataLoader(Texts(data["held_out"], data["answers"], shuffled=False), batch_size=None)
    return _fitted(Classifier(bare_lstm.Network(words), 0.001), train, held_out, epochs, clip=1.0)


def _images(data: Arrays, batch: int) -> tuple[Any, Any]:
    def loader(inputs: str, targets: str, shuffled: bool) -> Any:
        images = torch.from_numpy(data[inputs]).float().div_(255)
        return DataLoader(TensorDataset(images, torch.from_numpy(data[targets])), batch_size=batch, shuffle=shuffled)

    return loader("inputs", "targets", True), loader("held_out", "answers", False)


def _fitted(module: Classifier, train: Any, held_out: Any, epochs: int, clip: float | None = None) -> Epochs:
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, gradient_clip_val=clip,
    )  # fmt: skip
    trainer.fit(module, train, held_out)
    return Epochs(module.seconds, module.measured)
