"""Evaluation of the sliding window on whole images: its detections, how good they are, and images of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from components.data.arrays import Split
from components.evaluate import detectors
from components.evaluate.evaluation import Detections
from components.evaluate.results import Results
from components.models.families.sliding_window import SlidingWindow
from components.models.objects.batches import objects_of
from components.models.objects.windows import shown
from components.plots.feature_maps import draw_first_layers

WINDOWS_AT_ONCE = 256


@torch.inference_mode()
def predict(own: Detections, model: SlidingWindow, images: Tensor) -> Tensor:
    """The detections in each image, as many_objects has them, on the CPU."""
    windows = model.config.windows
    boxes = windows.boxes().to(images.device)
    detections = []
    for image in images:
        crops = windows.crops(image, torch.arange(len(boxes)))
        logits = torch.cat([model(part).float() for part in crops.split(WINDOWS_AT_ONCE)])
        detections.append(detectors.kept(logits.softmax(dim=1)[:, :-1], boxes, own))
    return torch.stack(detections).cpu()


def evaluate(model: nn.Module, detections: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """mAP, recall and how many windows are tried; what detectors.evaluate writes; feature_maps.png of one window."""
    assert isinstance(model, SlidingWindow)
    windows = model.config.windows
    boxes = windows.boxes()
    overlaps = shown(boxes, objects_of(split, rows[:1])[0], background=-1)[1]
    image = torch.tensor(split.arrays["inputs"][rows[0]]).float()
    (best,) = windows.crops(image, overlaps.argmax(dim=0, keepdim=True)).round().clamp(0, 255).byte().numpy()
    draw_first_layers(model, best, folder / "feature_maps.png")
    return {**detectors.evaluate(detections, rows, split, folder), "windows": len(boxes)}


def results(own: Detections) -> Results:
    return Results(evaluate, detectors.describe, partial(predict, own), detectors.METRICS)


RESULTS = results
