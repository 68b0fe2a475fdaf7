"""What the report calls metrics whose names in JSON and CSV do not read well."""

from __future__ import annotations

from components.baselines import tfidf
from components.studies import reuse

LABELS = {
    "iou": "mean overlap (IoU)",
    "iou_50": "boxes with IoU ≥ 0.5",
    "surest_right": "surest box right",
    "map_50": "mAP at IoU 0.5",
    "map": "mAP, IoU 0.5 to 0.95",
    "mar": "mean recall",
    "windows": "windows tried in a picture",
    "removed": "words removed",
    "vocabulary": "distinct words",
    "words_before": "words as published",
    "words_after": "words left",
    "elbo": "evidence lower bound",
    "kl": "KL term",
    "reconstruction": "reconstruction term",
    "numbers_in_use": "numbers of a code in use",
    "psnr": "PSNR, denoised",
    "psnr_noisy": "PSNR, noisy",
    "psnr_median": "PSNR, median filter",
    "ssim": "SSIM, denoised",
    "ssim_noisy": "SSIM, noisy",
    "ssim_median": "SSIM, median filter",
    **{way: f"accuracy, {name}, fewest labels" for way, name in reuse.WAYS.items()},
    "roc_auc": "area under the ROC curve",
    "labels": "fewest labels",
    **{kind: f"accuracy of {name}" for kind, name in tfidf.NAMES.items()},
}
