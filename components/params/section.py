"""The base of every section of params.yaml."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr
from pydantic.config import JsonDict

OF_IMAGES = ("boxes", "digits", "images")  # the kinds of data that are images


class Section(BaseModel):
    """A section of params.yaml. A key with a default need not stand there; the file holds what this project sets."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    _where: str = PrivateAttr("")

    def __eq__(self, other: object) -> bool:
        """By the values alone, wherever they stand."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @property
    def where(self) -> str:
        """The section's path in params.yaml, for messages: "models.cnn"."""
        return self._where or type(self).__module__.rpartition(".")[2]

    @property
    def name(self) -> str:
        """The last of that path: the entry's own name."""
        return self.where.rpartition(".")[2]

    def at(self, where: str) -> Any:
        """Note where the section stands; the section itself."""
        self._where = where
        return self


def derived(section: type[Section]) -> list[str]:
    """The keys that no params.yaml holds, since another key of it says what they are."""
    return [name for name, field in section.model_fields.items() if (field.json_schema_extra or {}) == DERIVED]


DERIVED: JsonDict = {"derived": True}  # a field's json_schema_extra
