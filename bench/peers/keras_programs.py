"""The course notes' programs in Keras on TensorFlow, written anew: what the product's speed is compared with."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.peers.programs import BATCHES, Arrays, Epochs, buckets


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Each epoch's seconds, validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.started)


class Buckets(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of texts of about one length."""

    def __init__(self, texts: np.ndarray, targets: np.ndarray, shuffled: bool) -> None:
        super().__init__()
        self.texts, self.targets, self.shuffled = texts, targets, shuffled
        self.batches = list(buckets(texts, shuffled))

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.batches[number]
        longest = int((self.texts[rows] != 0).sum(axis=1).max())
        return self.texts[rows, :longest], self.targets[rows]

    def on_epoch_end(self) -> None:
        self.batches = list(buckets(self.texts, self.shuffled))


def cnn(data: Arrays, epochs: int) -> Epochs:
    model = keras.Sequential([
        layers.Input((28, 28, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(1, 3, activation="relu"),
        layers.MaxPooling2D(), layers.Dropout(0.25), layers.Flatten(), layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return _fitted(model, _images(data, classes=10), BATCHES["cnn"], epochs, "val_accuracy")


def rounded_accuracy(wanted: Any, found: Any) -> Any:
    return ops.mean(ops.cast(ops.equal(ops.round(wanted), ops.round(found)), "float32"))


def autoencoder(data: Arrays, epochs: int) -> Epochs:
    model = keras.Sequential([
        layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(100, activation="selu"),
        layers.Dense(30, activation="selu"), layers.Dense(100, activation="selu"),
        layers.Dense(784, activation="sigmoid"), layers.Reshape((28, 28, 1)),
    ])  # fmt: skip
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=[rounded_accuracy])
    images, _, held_out, _ = _images(data, classes=10)
    return _fitted(model, (images, images, held_out, held_out), BATCHES["autoencoder"], epochs, "val_rounded_accuracy")


def lstm(data: Arrays, epochs: int) -> Epochs:
    words = 1 + int(max(data["inputs"].max(), data["held_out"].max()))
    model = keras.Sequential([
        layers.Input((None,), dtype="int32"), layers.Embedding(words, 100, mask_zero=True), layers.Dropout(0.3),
        layers.Bidirectional(layers.LSTM(64, return_sequences=True)), layers.GlobalMaxPooling1D(),
        layers.Dropout(0.5), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile(keras.optimizers.Adam(0.001, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock()
    history = model.fit(
        Buckets(data["inputs"], data["targets"], shuffled=True),
        validation_data=Buckets(data["held_out"], data["answers"], shuffled=False),
        epochs=epochs, verbose=0, callbacks=[clock],
    )  # fmt: skip
    return Epochs(clock.seconds, history.history["val_accuracy"])


def _images(data: Arrays, classes: int) -> tuple[np.ndarray, ...]:
    images, held_out = (np.moveaxis(data[key], 1, -1).astype(np.float32) / 255 for key in ("inputs", "held_out"))
    targets, answers = (keras.utils.to_categorical(data[key], classes) for key in ("targets", "answers"))
    return images, targets, held_out, answers


def _fitted(model: Any, data: tuple[np.ndarray, ...], batch: int, epochs: int, measure: str) -> Epochs:
    clock = Clock()
    history = model.fit(
        data[0], data[1], batch_size=batch, epochs=epochs, validation_data=data[2:], verbose=0, callbacks=[clock]
    )
    return Epochs(clock.seconds, history.history[measure])
