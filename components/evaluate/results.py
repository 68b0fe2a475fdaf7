"""The evaluation of a family: how a trained model is asked, measured and described, and how to load it by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from components.data.arrays import DataSpec, Split
from components.errors import UserError
from components.evaluate.evaluation import Config
from components.models.outputs import each
from components.params.declarations import EVALUATIONS, MODELS, declaration, tested_by
from components.plots.metric import Metric


@torch.inference_mode()
def forward(model: nn.Module, inputs: torch.Tensor) -> Any:
    """The model's outputs, float32 on the CPU: a tensor, or a NamedTuple of several."""
    return each(lambda output: output.float().cpu(), model(inputs))


@dataclass(frozen=True)
class Results:
    """How models of one family are asked and measured. Every callable is a plain function of a file here.

    evaluate: (module, predictions over the test subset, the test rows, split, empty folder) → test metrics;
              writes plot data (CSV) and images (PNG) into the folder.
    describe: (module, spec, inputs, predictions for them) → a dict of plain values for each, as `predict` prints it.
    predict:  (module in evaluation mode, inputs on its device) → predictions on the CPU, a row for each.
    metrics:  of the metrics that `evaluate` gives, and of those of the history: how the report tells them.
    """

    evaluate: Callable[[nn.Module, Any, np.ndarray, Split, Path], Mapping[str, float]]
    describe: Callable[[nn.Module, DataSpec, torch.Tensor, Any], list[dict[str, Any]]]
    predict: Callable[[Any, torch.Tensor], Any] = forward
    metrics: Mapping[str, Metric] = field(default_factory=dict)


def results_of(family: str, evaluation: Config) -> Results:
    """The RESULTS of components/evaluate/<family>.py, or else of any classifier.

    They are Results, or what makes them from the family's values in `evaluation`. Raises UserError if there is no such
    file and the family is no classifier, or it takes values that `evaluation` has not.
    """
    module = tested_by(family)
    if module != f"{EVALUATIONS}.{family}" and declaration(MODELS, family, "TASK", "family").goal.metric != "accuracy":
        raise UserError(
            f"{family}: components/evaluate/{family}.py is missing, which says how a {family} is tested; "
            f"a classifier, whose goal is accuracy, needs none"
        )
    declared: Results | Callable[[Any], Results] = importlib.import_module(module).RESULTS
    if isinstance(declared, Results):
        return declared
    if not hasattr(evaluation, family):
        raise UserError(f"evaluation.{family}: missing; declare it in {evaluation.__module__.replace('.', '/')}.py")
    return declared(getattr(evaluation, family))
