"""The keys of every study's entry in params.yaml."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from components.params.section import Section


class StudyConfig(Section):
    """needs: which of `data`, `model` and `others` the study reads; the rest may be none."""

    needs: ClassVar[tuple[str, ...]] = ()

    kind: str = Field(description="the kind of study: the name of a file in components/studies")
    data: str = Field(description="the name of a data set | none, where the study needs none")
    model: str = Field(description="the name of a model | none, where the study needs none")
    others: str = Field(description="the name of a second data set | none, where the study needs none")
