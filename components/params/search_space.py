"""Search spaces of sweeps: ranges of a model's values, as params.yaml writes them, and the settings of the search.

sweep:
  cnn:
    dropout: {uniform: [0.2, 0.5]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from components.params.section import Section

Kind = Literal["uniform", "log_uniform", "integers", "log_integers", "choice"]
KINDS: tuple[Kind, ...] = ("uniform", "log_uniform", "integers", "log_integers", "choice")
PERTURBED: tuple[Kind, ...] = ("uniform", "log_uniform")  # what pbt may vary without changing a network's shape
FORMS = "uniform, log_uniform, integers or log_integers: [low, high], or choice: [values]"
Nearest = Callable[[str, list[str], str], str]
S = TypeVar("S")
Values = dict[str, Any]  # a model's key → a value of it


class Range(Section):
    """The values that a key may take: one of FORMS. Bounds belong to the range."""

    kind: Kind
    values: tuple[Any, ...]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in KINDS:
            raise ValueError(f"a range is one of {FORMS}")
        ((kind, values),) = given.items()
        if not isinstance(values, list) or not values:
            raise ValueError(f"{kind} takes a list")
        if kind != "choice":
            _check_bounds(kind, values)
        elif len({json.dumps(value) for value in values}) < len(values):
            raise ValueError("a choice names each value once")
        return {"kind": kind, "values": tuple(values)}

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self.kind: list(self.values)}

    def encode(self, value: Any) -> Any:
        """A value as a search algorithm sees it: a number, or a choice as JSON text."""
        return json.dumps(value) if self.kind == "choice" else value

    def decode(self, value: Any) -> Any:
        return json.loads(value) if self.kind == "choice" else value

    def holds(self, value: Any) -> bool:
        """Whether the value is one of these."""
        if self.kind == "choice":
            return self.encode(_plain(value)) in map(self.encode, self.values)
        numeric = isinstance(value, int) or (isinstance(value, float) and not self.whole)
        return numeric and not isinstance(value, bool) and self.values[0] <= value <= self.values[1]

    @property
    def whole(self) -> bool:
        return self.kind in ("integers", "log_integers")

    @property
    def logarithmic(self) -> bool:
        return self.kind in ("log_uniform", "log_integers")


def _check_bounds(kind: str, values: list[Any]) -> None:
    number = int if kind in ("integers", "log_integers") else (int, float)
    if len(values) != 2 or not all(isinstance(v, number) and not isinstance(v, bool) for v in values):
        raise ValueError(f"{kind} takes two {'integers' if number is int else 'numbers'}, [low, high]")
    low, high = values
    if low >= high:
        raise ValueError(f"the low end, {low}, must be less than the high end, {high}")
    if kind.startswith("log") and low <= 0:
        raise ValueError(f"a logarithmic range starts above 0, not at {low}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


Space = Mapping[str, Range]


class Search(Section):
    """How a sweep searches, whichever model it is of."""

    method: Literal["tpe", "random", "pbt"] = Field(
        "tpe", description="tpe (tree-structured Parzen estimator) | random | pbt (population-based training)"
    )
    trials: int = Field(
        30, ge=1, description="an integer >= 1: how many trainings, the one with params.yaml's own values first"
    )
    grace: int = Field(
        3,
        ge=0,
        description="epochs before a trial may be stopped early; 0: none is stopped. Of pbt: its interval",
    )
    reduction: float = Field(3.0, gt=1, description="a number > 1: at each rung of ASHA one trial in so many goes on")
    seed: int = Field(42, ge=0, lt=2**31, description="an integer >= 0")


class Grow(Section):
    """How a grow search widens a model."""

    start: int = Field(2, ge=1, description="an integer >= 1: the first width, which doubles")
    limit: int = Field(2048, ge=2, description="an integer >= 2: the largest width")
    tolerance: float = Field(
        0.03, gt=0, lt=1, description="a number in (0, 1): a loss that is lower by this fraction is better"
    )
    patience: int = Field(
        2, ge=1, description="an integer >= 1: doublings without a better validation loss before it ends"
    )
    seeds: int = Field(
        3, ge=1, description="an integer >= 1: trainings of each width, of whose losses the median counts"
    )
    refine: int = Field(
        1, ge=0, description="an integer >= 0: how often the steps around the best width are halved afterwards"
    )
    regularised: bool = Field(
        False, description="true | false: whether dropout, l1, l2, weight decay and smoothing stay on"
    )
    widths: dict[str, tuple[str, ...]] = Field(
        {}, description="a model's or family's name → the keys that take the width"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Grow:
        if self.start > self.limit:
            raise ValueError(f"grow.start ({self.start}) must not be more than grow.limit ({self.limit})")
        return self


def widened(values: Mapping[str, Any], keys: tuple[str, ...], width: int) -> Values:
    """`keys` with that width: of a list each layer's, of an empty one a layer's of its own."""
    return {k: [width] * max(1, len(values[k])) if isinstance(values[k], list | tuple) else width for k in keys}


def asked_for(asked: Mapping[str, S], name: str, family: str) -> S | None:
    """What is said under a model's own name, else under its family's."""
    return asked.get(name, asked.get(family))


def faults(
    sweep: Mapping[str, Space], grow: Grow, sections: Mapping[str, Any], models: list[str], nearest: Nearest
) -> Iterator[str]:
    """Faults of the search spaces: keys and values that the models' sections do not allow.

    sections: those without a fault of their own.
    models:   the names of all models.
    nearest:  (wrong name, right names, their prefix) → the end of a message.
    """
    judged: dict[str, Any] = {}  # a model's or a family's name → an entry by which its ranges are judged
    for name in [name for name in models if name in sections]:
        judged.setdefault(sections[name].family, sections[name])
    judged |= {name: sections[name] for name in models if name in sections}
    known = list(dict.fromkeys([*models, *judged]))
    for key, asked in (("sweep", sweep), ("grow.widths", grow.widths)):
        for name in asked.keys() - known:
            yield f"{key}.{name}: no model and no family of one is called so{nearest(name, known, f'{key}.')}"
    for name in [name for name in sweep if name in judged]:
        for key, searched in sweep[name].items():
            yield from _range_faults(f"sweep.{name}.{key}", key, searched, judged[name], sweep[name], nearest)
    for name in [name for name in grow.widths if name in judged]:
        for key in grow.widths[name]:
            if fault := _key_fault(key, judged[name], nearest):
                yield f"grow.widths.{name}: {key}: {fault}"
            elif _refused(judged[name], widened(judged[name].model_dump(), (key,), grow.limit)):
                yield f"grow.widths.{name}: {key} takes no width of {grow.limit}"


def _range_faults(path: str, key: str, searched: Range, section: Any, space: Space, nearest: Nearest) -> Iterator[str]:
    if fault := _key_fault(key, section, nearest):
        yield f"{path}: {fault}"
        return
    for value in searched.values:
        if refused := _refused(section, {key: value}):
            yield f"{path}: {value!r} is not allowed: {refused}"
            return
    optimizers = space["optimizer"].values if "optimizer" in space else (section.optimizer,)
    if key == "momentum" and "sgd" not in optimizers:
        yield (
            f"{path}: it would change nothing, since only sgd uses it and {section.where}.optimizer is "
            f"{section.optimizer}; add optimizer: {{choice: [{section.optimizer}, sgd]}} to the space"
        )


def _key_fault(key: str, section: Any, nearest: Nearest) -> str:
    keys = list(type(section).model_fields)
    if key not in keys:
        return f"the model has no such key{nearest(key, keys, '')}"
    reason: str = section.unsearchable().get(key, "")
    return f"no sweep can vary it: {reason}" if reason else ""


def _refused(section: Section, changes: Values) -> str:
    """Why the section does not allow these values; empty if it does."""
    from pydantic import ValidationError

    try:
        type(section).model_validate_json(json.dumps({**section.model_dump(mode="json"), **changes}))
    except ValidationError as error:
        first = error.errors()[0]
        field = type(section).model_fields.get(str(first["loc"][0]) if first["loc"] else "")
        allowed = f"; allowed: {field.description}" if field and field.description else ""
        said = first["msg"].removeprefix("Value error, ")
        return f"{said[0].lower()}{said[1:]}{allowed}"
    return ""
