"""Evaluation of SSD: its detections, how good they are, and images of them."""

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
from components.models.families.ssd import SSD
from components.models.objects.default_boxes import Outputs, decoded
from components.models.outputs import each
from components.plots.feature_maps import draw_first_layers
from components.plots.metric import Metric


@torch.inference_mode()
def predict(own: Detections, model: SSD, images: Tensor) -> Tensor:
    """The detections in each image, as many_objects has them, on the CPU."""
    outputs: Outputs = each(Tensor.float, model(images))
    detections = [
        detectors.kept(scores, decoded(offsets, boxes), own)
        for offsets, boxes, scores in zip(outputs.offsets, outputs.boxes, outputs.scores(), strict=True)
    ]
    return torch.stack(detections).cpu()


def evaluate(model: nn.Module, detections: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """mAP, recall and how many default boxes are tried; what detectors.evaluate writes; feature_maps.png."""
    assert isinstance(model, SSD)
    draw_first_layers(model, split.arrays["inputs"][rows[0]], folder / "feature_maps.png")
    return {**detectors.evaluate(detections, rows, split, folder), "windows": len(model.boxes)}


METRICS = {**detectors.METRICS, "surest_right": Metric("surest box right")}


def results(own: Detections) -> Results:
    return Results(evaluate, detectors.describe, partial(predict, own), METRICS)


RESULTS = results
