"""Evaluation of detectors of many objects: which detections are kept, and how good they are.

Detections are (images, DETECTIONS, 6): class number, score, left, top, right, bottom as fractions, the surest first;
the class is -1 where there are no more. True objects are (images, objects, 5), the same without a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from components.data.arrays import DataSpec, Split
from components.evaluate.evaluation import Detections
from components.models.objects.batches import objects_of
from components.plots.file_names import AVERAGE_PRECISION
from components.plots.images import Box, draw_boxes
from components.plots.metric import Metric

DETECTIONS = 100
BEFORE_NMS = 400  # of each class, the surest, as in SSD
DRAWN = 8
SHOWN_FROM, SHOWN = 0.5, 6  # the report's images show detections of this score or more, the surest ones
METRICS = {
    "map_50": Metric("mAP at IoU 0.5"),
    "map": Metric("mAP, IoU 0.5 to 0.95"),
    "mar": Metric("mean recall"),
    "windows": Metric("windows tried in an image", of_test=False),
}


def kept(scores: Tensor, boxes: Tensor, own: Detections) -> Tensor:
    """One image's detections, (DETECTIONS, 6), after non-maximum suppression within each class.

    scores: (boxes, classes). boxes: (boxes, 4).
    """
    number = min(BEFORE_NMS, len(scores))
    values, places = scores.topk(number, dim=0)
    values, places = values.t().flatten(), places.t().flatten()
    labels = torch.arange(scores.shape[1], device=scores.device).repeat_interleave(number)
    sure = values >= own.score
    values, kept_boxes, labels = values[sure], boxes[places[sure]], labels[sure]
    chosen = batched_nms(kept_boxes, values, labels, own.nms)[:DETECTIONS]
    detections = torch.cat([labels[chosen, None].float(), values[chosen, None], kept_boxes[chosen]], dim=1)
    padding = torch.tensor([-1.0, 0, 0, 0, 0, 0], device=scores.device).expand(DETECTIONS - len(chosen), 6)
    return torch.cat([detections, padding])


def mean_average_precision(detections: Tensor, objects: Tensor) -> tuple[dict[str, float], dict[int, float]]:
    """({"map_50", "map", "mar"}, class number → average precision at 0.5) as COCO counts them (Lin et al. 2014).

    map_50: at an intersection over union of 0.5; map: the mean over 0.5 to 0.95; mar: the mean recall over the same.
    Means are over the classes that occur.
    """
    from torchmetrics.detection import MeanAveragePrecision

    counted = MeanAveragePrecision(iou_type="bbox", extended_summary=True)
    predicted = [
        {"boxes": d[:, 2:], "scores": d[:, 1], "labels": d[:, 0].int()} for d in (d[d[:, 0] >= 0] for d in detections)
    ]
    truth = [{"boxes": o[:, 1:], "labels": o[:, 0].int()} for o in (o[o[:, 0] >= 0] for o in objects)]
    counted.update(predicted, truth)
    result = counted.compute()
    means = {"map_50": result["map_50"].item(), "map": result["map"].item(), "mar": result["mar_100"].item()}
    # precision: (overlaps from 0.5, recalls, classes, ranges of area from all, numbers of detections up to 100)
    each = result["precision"][0, :, :, 0, -1].mean(dim=0).tolist()
    numbers = result["classes"].reshape(-1).tolist()
    return means, {int(number): own for number, own in zip(numbers, each, strict=True) if own >= 0}


def evaluate(detections: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test mAP and recall; average_precision.csv and predictions.png into `folder`."""
    objects = objects_of(split, rows)
    means, each = mean_average_precision(detections, objects)
    truth = objects[..., 0].long()
    table = [
        {"class": name, "average_precision": each[number], "objects": int((truth == number).sum())}
        for number, name in enumerate(split.classes)
        if number in each
    ]
    pd.DataFrame(table).to_csv(folder / AVERAGE_PRECISION, index=False)
    shown = slice(min(DRAWN, len(rows)))
    names = split.classes
    true = [[Box(names[int(o[0])], tuple(o[1:].tolist())) for o in image if o[0] >= 0] for image in objects[shown]]
    predictions = [
        [
            Box(names[int(d[0])], tuple(d[2:].tolist()), d[1].item())
            for d in image[:SHOWN]
            if d[0] >= 0 and d[1] >= SHOWN_FROM
        ]
        for image in detections[shown]
    ]
    draw_boxes(folder / "predictions.png", split.arrays["inputs"][rows[shown]], true, predictions)
    return {**means, "examples": len(rows)}


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, detections: Tensor) -> list[dict[str, Any]]:
    """Each image's objects, the surest first: class, probability, box (left, top, right, bottom as fractions)."""
    return [{"objects": [_described(data, row) for row in own.tolist() if row[0] >= 0]} for own in detections]


def _described(data: DataSpec, detection: list[float]) -> dict[str, Any]:
    label, score, *edges = detection
    box = [round(edge, 4) for edge in edges]
    return {"class": data.classes[int(label)], "probability": round(score, 4), "box": box}
