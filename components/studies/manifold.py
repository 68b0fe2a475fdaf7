"""A VAE whose codes have two numbers, so that all that it can make fits on one page.

The same network as the model's but for the code's width, trained anew on some of the training subset (figure 4 of
Kingma and Welling 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from components.data.arrays import Split
from components.errors import UserError
from components.evaluate.vae import METRICS as OF_A_VAE
from components.evaluate.vae import decoder_of, draw_manifold
from components.models.encoders import in_parts
from components.models.families import vae
from components.models.reconstruction import image_batch
from components.plots.image_rows import draw_codes
from components.plots.tables import write_tables
from components.train.loop import fit, validate

if TYPE_CHECKING:
    from components.models.artifact import Artifact
from components.studies.study import StudyConfig

METRICS = {name: OF_A_VAE[name] for name in ("elbo", "reconstruction", "kl")}


class Config(StudyConfig):
    """Of a VAE, on images."""

    needs = ("data", "model")
    of = ("vae",)

    examples: int = Field(
        5000, ge=1, description="an integer >= 1: the most images of the training subset to learn from"
    )
    epochs: int = Field(30, ge=1, description="an integer >= 1")
    side: int = Field(16, ge=2, description="an integer >= 2: images along each side of the image")


def evaluate(
    config: Config, models: Callable[[str], Artifact], splits: Callable[[str], Split], folder: Path
) -> dict[str, float]:
    """The evidence lower bound on the test subset; manifold.png and codes.png. Raises UserError when it is no VAE."""
    trained, split = models(config.model), splits(config.data)
    if not isinstance(trained.config, vae.Config):
        raise UserError(f"{config.where}.model: {config.model} is no VAE")
    section = trained.config.model_copy(update={"bottleneck": 2, "epochs": config.epochs})
    drawn = torch.randperm(len(split.rows["train"]), generator=torch.Generator().manual_seed(section.seed))
    rows = split.rows["train"][drawn[: config.examples].numpy()]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = fit(vae.TASK, section, replace(split, rows={**split.rows, "train": rows}), device, lambda *_: None)
    model = training.model.eval()
    assert isinstance(model, vae.VAE)
    draw_manifold(decoder_of(model.decoder, device), config.side, folder / "manifold.png")
    test = split.rows["test"]
    codes = in_parts(model.encoder, image_batch(split, test).inputs, device)
    note = "Each point is an image of the test subset by the two numbers of its code.\nNo training saw the classes."
    draw_codes(folder / "codes.png", codes, split.arrays["targets"][test], split.classes, note)
    write_tables(folder, [], f"All codes of a VAE on one page, on {config.data}")
    metrics = validate(training, "test")
    return {**{key: metrics[key] for key in ("elbo", "reconstruction", "kl")}, "examples": len(test)}
