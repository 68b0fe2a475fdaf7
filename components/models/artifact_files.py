"""The names of a trained model's files. Imports nothing: who reads its tables needs no network's code."""

from __future__ import annotations

WEIGHTS, DESCRIPTION, HISTORY, LAYERS = "model.safetensors", "model.json", "history.csv", "layers.csv"
