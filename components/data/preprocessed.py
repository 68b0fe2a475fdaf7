"""What a preprocessed data set has beside its arrays or words. Imports nothing."""

from __future__ import annotations

PLOTS, FIGURES = "plots", "metrics.json"  # what the stage leaves elsewhere, too
