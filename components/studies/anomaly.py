"""Anomaly detection: an autoencoder's reconstruction error tells apart images of a kind that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from components.data.arrays import Split
from components.errors import UserError
from components.models.encoders import in_parts
from components.models.families import autoencoder, vae
from components.models.reconstruction import errors, image_batch
from components.plots.canvas import WIDTH
from components.plots.image_rows import draw_rows
from components.plots.metric import Metric
from components.plots.palette import BLUE, ORANGE, PALE
from components.plots.tables import write_tables

if TYPE_CHECKING:
    from components.models.artifact import Artifact
from components.studies.study import StudyConfig

DRAWN = 10
METRICS = {"roc_auc": Metric("area under the ROC curve", "{:.4f}")}


class Config(StudyConfig):
    """Of an autoencoder, on images such as it was trained on, and on others that it never saw."""

    needs = ("data", "model", "others")
    of = ("autoencoder", "denoising", "vae")


def scores(model: nn.Module, images: Tensor) -> Tensor:
    """(images,): the reconstruction error in nats per pixel; of a VAE the negative evidence lower bound in nats."""
    outputs = in_parts(model, images, next(model.parameters()).device)
    if isinstance(model, vae.VAE):
        reconstruction, kl = vae.terms(outputs, images)
        return reconstruction + kl
    return errors(outputs, images)


def evaluate(
    config: Config, models: Callable[[str], Artifact], splits: Callable[[str], Split], folder: Path
) -> dict[str, float]:
    """The area under the ROC curve on the test subsets of both; anomaly.png, and the images that are hardest to tell.

    Raises UserError when the model is no autoencoder, or takes other images.
    """
    from sklearn.metrics import roc_auc_score

    trained = models(config.model)
    if not isinstance(trained.model, autoencoder.Autoencoder | vae.VAE):
        raise UserError(f"{config.where}.model: {config.model} is no autoencoder")
    images = []
    for key, name in (("data", config.data), ("others", config.others)):
        split = splits(name)
        if split.spec.input_shape != trained.spec.input_shape:
            raise UserError(
                f"{config.where}.{key}: {name} has inputs of shape {split.spec.input_shape}, and {config.model} takes "
                f"{trained.spec.input_shape}"
            )
        images.append(image_batch(split, split.rows["test"]).inputs)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    own, other = (scores(trained.model.to(device), each) for each in images)
    truth = np.repeat([0, 1], [len(own), len(other)])
    area = float(roc_auc_score(truth, torch.cat([own, other]).numpy()))
    _draw(config, own.numpy(), other.numpy(), folder / "anomaly.png")
    odd, like = own.argsort(descending=True, stable=True)[:DRAWN], other.argsort(stable=True)[:DRAWN]
    rows = [(f"{config.data}: the largest errors", images[0][odd]), (f"{config.others}: the smallest", images[1][like])]
    draw_rows(folder / "hardest.png", rows)
    write_tables(folder, [], f"What {config.model} has never seen: {config.others} among {config.data}")
    return {"roc_auc": area, "examples": len(truth)}


def _draw(config: Config, own: np.ndarray, other: np.ndarray, file: Path) -> None:
    """The errors of both as histograms, and the ROC curve."""
    from matplotlib.figure import Figure
    from sklearn.metrics import roc_curve

    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    edges = np.linspace(0, max(own.max(), other.max()), 41)
    for values, name, colour in ((own, config.data, BLUE), (other, config.others, ORANGE)):
        left.hist(values, edges, weights=np.full(len(values), 1 / len(values)), color=colour, alpha=0.7, label=name)
    left.set(xlabel="reconstruction error", ylabel="fraction of the images")
    left.legend(frameon=False, loc="upper right")  # the best place is sought for too long
    false, true, _ = roc_curve(np.repeat([0, 1], [len(own), len(other)]), np.concatenate([own, other]))
    right.plot([0, 1], [0, 1], color=PALE)
    right.plot(false, true, color=BLUE)
    right.set(
        xlabel=f"fraction of {config.data} taken for others",
        ylabel=f"fraction of {config.others} found",
        aspect="equal",
    )
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150, metadata={"Software": None})
