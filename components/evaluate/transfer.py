"""Evaluation of transfer learning: a classifier's results."""

from __future__ import annotations

from components.evaluate import classification
from components.evaluate.results import Results

RESULTS = Results(classification.evaluate, classification.describe)
