"""That the vision half learns: synthetic scenes to the promised measures in the quick profile, and real photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data.arrays import Split, open_split
from components.evaluate.evaluation import evaluation_of
from components.evaluate.stage import evaluate
from components.models import artifact
from components.models.pretrained import PretrainedConfig
from components.models.task import load_task
from components.params import params
from components.prepare import features, weights
from components.train.loop import Training, fit
from tests.conftest import CPU, MIRROR, needs_mirror, split_of, with_source

pytestmark = pytest.mark.slow


class Stages:
    """The stages' functions in one folder, as dvc.yaml chains them."""

    def __init__(self, folder: Path, settings: params.Params, source: str) -> None:
        self.folder, self.settings = folder, with_source(settings, "voc", source)
        split_of("voc", self.settings, folder)

    @property
    def split(self) -> Split:
        return open_split(self.folder / "split")

    def train(self, name: str, **changes: Any) -> tuple[Training, dict[str, float]]:
        """The training of a model's committed section with changes, and its test metrics."""
        task = load_task(name)
        values = {**self.settings.sections[name].model_dump(), **changes}
        config = task.config.model_validate(values, strict=False)
        assert isinstance(config, PretrainedConfig)
        kept = self.folder / "weights" / name if config.pretrained else None
        if kept:
            weights.fetch_weights(self.settings.entry("backbones", config.start), kept)
        published = weights.load_weights(kept)
        stored = self.folder / "features" / name
        stored.mkdir(parents=True)
        features.make(task, config, self.split, published, stored)
        learned = open_split(stored) if (stored / "split.json").exists() else self.split
        training = fit(task, config, learned, CPU, lambda *_: None, weights=published)
        model = self.folder / "models" / name
        artifact.save(model, task, config, learned.spec, training.state(), published)
        files = (self.folder / "metrics.json", self.folder / "plots" / name, self.folder / "timing.json")
        return training, evaluate(artifact.load(model), self.split, evaluation_of(self.settings), *files)


@pytest.fixture(scope="module")
def made(committed: params.Params, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(tmp_path_factory.mktemp("made"), committed, "synthetic")


@pytest.fixture(scope="module")
def real(committed: params.Params, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(tmp_path_factory.mktemp("real"), committed, str(MIRROR / "VOC2007_subset.tar"))


def losses(training: Training, key: str = "loss") -> list[float]:
    return [epoch[key] for epoch in training.history]


def test_no_constant_box_reaches_the_mean_overlap_that_is_asked(made: Stages) -> None:
    """The best of many blank guesses, chosen on the test subset itself, stays far below 0.6."""
    boxes = made.split.arrays["boxes"][made.split.rows["test"], 0]
    middle = boxes.mean(axis=0)
    guesses = np.concatenate([boxes, middle[None]])
    corners = np.maximum(guesses[:, None, :2], boxes[None, :, :2]), np.minimum(guesses[:, None, 2:], boxes[None, :, 2:])
    common = (corners[1] - corners[0]).clip(0).prod(axis=-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(axis=-1) for b in (guesses, boxes)]
    overlaps = common / (areas[0][:, None] + areas[1][None] - common)
    assert overlaps.mean(axis=1).max() < 0.4


def test_the_one_object_detector_overlaps_made_objects_by_0_6_or_more(made: Stages) -> None:
    _, found = made.train("detection")
    assert found["iou"] >= 0.6
    assert found["accuracy"] >= 0.9


def test_ssd_finds_made_objects_with_a_map_of_0_5_or_more(made: Stages) -> None:
    _, found = made.train("ssd", epochs=5)
    assert found["map_50"] >= 0.5


def test_the_sliding_window_finds_some_of_them(made: Stages) -> None:
    _, found = made.train("sliding_window", epochs=4)
    assert found["map_50"] >= 0.35


@needs_mirror
def test_the_detector_learns_from_real_photographs(real: Stages) -> None:
    training, found = real.train("detection", epochs=6)
    assert losses(training)[-1] < 0.8 * losses(training)[0]
    assert losses(training, "validation_loss")[-1] < losses(training, "validation_loss")[0]
    assert found["examples"] == 80


@needs_mirror
def test_ssdlite_on_mobilenet_learns_from_real_photographs(real: Stages) -> None:
    training, _ = real.train(
        "ssd", backbone="ssdlite320_mobilenet_v3_large", pretrained=False, freeze=0, epochs=3, channels_last=True
    )
    assert losses(training)[0] > losses(training)[1] > losses(training)[2]
