"""Settings that only an evaluation reads, by family: another threshold tests anew, and trains nothing."""

from __future__ import annotations

from pydantic import Field

from components.params.params import Params
from components.params.section import Section


class Detections(Section):
    """Which of a detector's boxes are detections."""

    score: float = Field(ge=0, lt=1, description="a number in [0, 1): the least probability of a detection")
    nms: float = Field(gt=0, le=1, description="a number in (0, 1]: the most that two detections of a class overlap")


class Words(Section):
    """Which words' nearest are told."""

    nearest_of: int = Field(ge=1, description="an integer >= 1: the most frequent words, of which the nearest are told")
    shown: tuple[str, ...] = Field(description="a list of words whose nearest the report shows")


class Config(Section):
    sliding_window: Detections
    ssd: Detections
    word2vec: Words


def evaluation_of(settings: Params) -> Config:
    """That section of params.yaml."""
    section = settings.sections["evaluation"]
    assert isinstance(section, Config)
    return section
