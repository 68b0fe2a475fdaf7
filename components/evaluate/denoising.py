"""Evaluation of a denoiser: PSNR and SSIM beside the noisy image's and a median filter's, and images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.data.arrays import DataSpec, Split
from components.evaluate.results import Results
from components.models.encoders import in_parts
from components.models.families.denoising import Denoiser
from components.models.noise import noisy
from components.models.reconstruction import errors, image_batch
from components.plots.image_rows import draw_rows, one_of_each
from components.plots.metric import DECIBELS, Metric
from components.plots.tables import Table, write_tables

DRAWN = 10
MEDIANS = (3, 5)  # sides of the filters that are tried


def psnr(images: Tensor, clean: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, of pixels in [0, 1]: the mean over images of -10 log10(mean squared error)."""
    squared = (images - clean).double().flatten(1).square().mean(dim=1).clamp(min=1e-10)
    return (-10 * squared.log10()).mean().item()


def ssim(images: Tensor, clean: Tensor) -> float:
    """Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004), 1 for the same image: the mean over images."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    total = 0.0
    for one, other in zip(images.split(1000), clean.split(1000), strict=True):
        alike = structural_similarity_index_measure(one, other, data_range=1.0, reduction="sum")
        assert torch.is_tensor(alike)
        total += alike.item()
    return total / len(clean)


def median_filter(images: Tensor, side: int) -> Tensor:
    """Each pixel the median of the square around it; at an edge the image goes on mirrored."""
    from scipy.ndimage import median_filter as filtered  # here, since predict imports this file, and filters nothing

    return torch.from_numpy(filtered(images.numpy(), size=(1, 1, side, side), mode="mirror"))


def measured(
    clean: Tensor, given: Tensor, logits: Tensor, of_clean: Tensor, shown: np.ndarray, folder: Path
) -> Mapping[str, float]:
    """Test measures; a table of all ways, and denoised.png.

    clean, given: the test subset's images without and with noise, (examples, channels, height, width) in [0, 1].
    logits:       of the noisy images denoised. of_clean: of the clean images, which had nothing to take away.
    shown:        the places of the images that are drawn.
    """
    denoised = logits.sigmoid()
    filtered = {side: median_filter(given, side) for side in MEDIANS}
    ways = {"noisy": given, **{f"median filter, {s} x {s}": i for s, i in filtered.items()}, "this model": denoised}
    quality = {name: (psnr(images, clean), ssim(images, clean)) for name, images in ways.items()}
    best = max(filtered, key=lambda side: quality[f"median filter, {side} x {side}"][0])
    median = quality[f"median filter, {best} x {best}"]
    rows = [[name, f"{ratio:.2f} dB", f"{alike:.3f}"] for name, (ratio, alike) in quality.items()]
    rows.append(["this model on images without noise", f"{psnr(of_clean.sigmoid(), clean):.2f} dB", ""])
    note = "Both against the clean test images; higher is better. PSNR: 10 dB more is a tenth of the squared "
    note += "error. SSIM: 1 for the same image."
    write_tables(folder, [Table("Denoised how well", ["", "PSNR", "SSIM"], rows, note)])
    triples = [("noisy", given), (f"median filter, {best} x {best}", filtered[best]), ("denoised", denoised)]
    draw_rows(folder / "denoised.png", [(name, images[shown]) for name, images in [*triples, ("clean", clean)]])
    return {
        "psnr": quality["this model"][0],
        "psnr_noisy": quality["noisy"][0],
        "psnr_median": median[0],
        "ssim": quality["this model"][1],
        "ssim_noisy": quality["noisy"][1],
        "ssim_median": median[1],
        "loss": errors(logits, clean).double().mean().item(),
        "examples": len(clean),
    }


def evaluate(model: nn.Module, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test measures of noisy images denoised, beside those of a median filter; denoised.png and a table.

    logits: of the clean images, which tell what the network takes from an image that has no noise.
    """
    assert isinstance(model, Denoiser)
    clean = image_batch(split, rows).targets
    random = torch.Generator().manual_seed(model.config.seed)
    given = noisy(clean, model.config.noise, model.config.strength, random)
    cleaned = in_parts(model, given, next(model.parameters()).device)
    shown = one_of_each(split.arrays["targets"][rows], DRAWN)
    return measured(clean, given, cleaned, logits, shown, folder)


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, logits: Tensor) -> list[dict[str, Any]]:
    """How much of each image was taken for noise: the root mean square of what changed, pixels being 0 to 1."""
    changed = (logits.sigmoid() - inputs).flatten(1).square().mean(dim=1).sqrt()
    return [{"changed": round(value, 4)} for value in changed.tolist()]


METRICS = {
    f"{name}{suffix}": Metric(f"{label}, {of}", form)
    for name, label, form in (("psnr", "PSNR", DECIBELS), ("ssim", "SSIM", "{:.3f}"))
    for suffix, of in (("", "denoised"), ("_noisy", "noisy"), ("_median", "median filter"))
}
RESULTS = Results(evaluate, describe, metrics=METRICS)
