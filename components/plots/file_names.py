"""The names of files that stages leave for the report. Imports nothing: the report needs no network's code."""

from __future__ import annotations

CONFIG = "config.json"  # the section of params.yaml that a baseline or a study was made with
EVALUATION = "evaluation.json"  # what the test of a model had of params.yaml, beside its training's own values
AVERAGE_PRECISION = "average_precision.csv"
SWEEP = "sweep.json"  # what the report's chapter on a sweep says
TIMINGS = "timing"  # a folder under the runs' folder, not among the plots: times are no outputs of a stage
