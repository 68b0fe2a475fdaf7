"""Settings that only an evaluation reads, by family: another threshold tests anew, and trains nothing."""

from __future__ import annotations

from pydantic import Field

from components.params.params import Params
from components.params.section import Section


class Detections(Section):
    """Which of a detector's boxes are detections."""

    score: float = Field(0.01, ge=0, lt=1, description="a number in [0, 1): the least probability of a detection")
    nms: float = Field(
        0.45, gt=0, le=1, description="a number in (0, 1]: the most that two detections of a class overlap"
    )


class Words(Section):
    """Which words' nearest are told."""

    nearest_of: int = Field(
        2000, ge=1, description="an integer >= 1: the most frequent words, of which the nearest are told"
    )
    shown: tuple[str, ...] = Field(
        ("good", "bad", "film", "actor", "funny", "story", "music", "war", "love", "child"),
        description="a list of words whose nearest the report shows",
    )


class Config(Section):
    sliding_window: Detections = Detections(score=0.1, nms=0.3)
    ssd: Detections = Detections(score=0.01, nms=0.45)
    word2vec: Words = Words()


def evaluation_of(settings: Params) -> Config:
    """That section of params.yaml."""
    section = settings.sections["evaluation"]
    assert isinstance(section, Config)
    return section
