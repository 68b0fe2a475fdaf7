"""The keys of every study's entry in params.yaml."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from components.params.section import OF_IMAGES, Section


class StudyConfig(Section):
    """The keys of every study.

    needs: which of `data`, `model` and `others` the study reads; the rest may be none.
    reads: the kinds of data that it is for; of: the families of models.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = OF_IMAGES
    of: ClassVar[tuple[str, ...]] = ()

    kind: str = Field(description="the kind of study: the name of a file in components/studies")
    data: str = Field(description="the name of a data set | none, where the study needs none")
    model: str = Field(description="the name of a model | none, where the study needs none")
    others: str = Field(description="the name of a second data set | none, where the study needs none")
