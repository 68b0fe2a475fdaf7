"""Evaluation of any autoencoder: measures of its reconstructions, and images of them and of its codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.data.arrays import DataSpec, Split
from components.models.encoders import in_parts
from components.models.reconstruction import errors, rounded_accuracy
from components.plots.image_rows import draw_codes, draw_rows, one_of_each

DRAWN = 10


def metrics(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Binary cross-entropy in nats, the mean over pixels; rounded accuracy; the number of examples."""
    return {
        "rounded_accuracy": rounded_accuracy(logits, targets).double().mean().item(),
        "loss": errors(logits, targets).double().mean().item(),
        "examples": len(targets),
    }


def draw(
    encoder: nn.Module, reconstructions: Tensor, images: Tensor, rows: np.ndarray, split: Split, folder: Path
) -> None:
    """reconstructions.png: originals over reconstructions; codes.png: every image's code as a point.

    found: the reconstructions of `images`, the test subset's, both (examples, channels, height, width) in [0, 1].
    """
    targets = split.arrays["targets"][rows]
    shown = one_of_each(targets, DRAWN)
    pairs = [("images of the test subset", images[shown]), ("the same, from their codes alone", reconstructions[shown])]
    draw_rows(folder / "reconstructions.png", pairs)
    codes = in_parts(encoder, images, next(encoder.parameters()).device)
    width = codes.shape[1]
    note = f"Each point is an image of the test subset by its code of {width} numbers"
    note += "." if width == 2 else ", laid out by t-SNE:\nimages of like codes stand near each other."
    draw_codes(folder / "codes.png", codes, targets, split.classes, f"{note} No training saw the classes.")


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, logits: Tensor) -> list[dict[str, Any]]:
    """Each image's reconstruction error and its code."""
    with torch.inference_mode():
        codes: Tensor = model.encoder(inputs)  # type: ignore[operator]
    pairs = zip(errors(logits, inputs).tolist(), codes.tolist(), strict=True)
    return [
        {"reconstruction_error": round(error, 5), "code": [round(value, 4) for value in code]} for error, code in pairs
    ]
