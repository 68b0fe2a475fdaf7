"""The Task: a model family, as the rest of the tool sees it, and how to load one by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import nn

from components.data.arrays import DataSpec, Split
from components.errors import UserError
from components.models.outputs import each
from components.params.declarations import MODELS, declaration
from components.params.section import OF_IMAGES, Section

READ_BEFORE = "a stage before the training reads it; change it in the model's own entry"
NOT_COMPARABLE = "trials that differ in it could not be compared"


# The keys that families give other defaults: `epochs: Epochs = 20`.
Epochs = Annotated[int, Field(ge=1, description="an integer >= 1")]
BatchSize = Annotated[int, Field(ge=1, description="an integer >= 1, examples over all workers together")]
Schedule = Annotated[
    Literal["constant", "cosine", "linear", "step"],
    Field(description="constant | cosine or linear (down to 0) | step (a tenth after 1/2 and 3/4): the learning rate"),
]
WarmupRatio = Annotated[
    float, Field(ge=0, lt=1, description="a number in [0, 1): the rate rises from 0 over this fraction of all steps")
]
LearningRate = Annotated[float, Field(gt=0, description="a number > 0")]
Clip = Annotated[Literal["none", "value", "norm"], Field(description="none | value | norm")]
Keep = Annotated[Literal["best", "last"], Field(description="best (lowest validation loss) | last epoch's weights")]


class TrainingConfig(Section):
    """The keys of every model, about its training; train/loop.py reads these.

    reads: the kinds of data that a family is for.
    """

    reads: ClassVar[tuple[str, ...]] = OF_IMAGES

    family: str = Field(description="the kind of model: the name of a file in components/models/families")
    data: str = Field(description="the name of an entry of data")
    start: str = Field(description="none | an entry of backbones | another model, whose weights it begins with")
    seed: int = Field(42, ge=0, lt=2**31, description="an integer >= 0")
    epochs: Epochs = 10
    batch_size: BatchSize = 32
    optimizer: Literal["adam", "sgd", "nadam"] = Field("adam", description="adam | sgd (with momentum) | nadam")
    learning_rate: LearningRate = 0.001
    momentum: float = Field(0.9, ge=0, lt=1, description="a number in [0, 1), used by sgd; 0.5 to 0.9 is typical")
    schedule: Schedule = "constant"
    warmup_ratio: WarmupRatio = 0.0
    weight_decay: float = Field(
        0.0, ge=0, description="a number >= 0: each step shrinks weights by this times the learning rate (AdamW)"
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="a number in [0, 1), such as 0.99: average the weights over so long; 0: do not"
    )
    l1: float = Field(0.0, ge=0, description="a number >= 0, times the sum of |weights|, added to the loss")
    l2: float = Field(0.0, ge=0, description="a number >= 0, times the sum of squared weights, added to the loss")
    clip: Clip = "none"
    clip_limit: float = Field(1.0, gt=0, description="a number > 0: largest gradient component, or largest norm")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto (bfloat16 on a GPU that has it, else float32) | float32 | bfloat16"
    )
    channels_last: Literal["auto"] | bool = Field(
        "auto",
        description="auto (where there are convolutions) | true | false, memory order of images and convolutions",
    )
    compile: Literal["auto"] | bool = Field(
        "auto", description="auto (on a GPU, in trainings of 50,000 steps or more) | true | false: compiled by torch"
    )
    patience: int = Field(0, ge=0, description="epochs without a lower validation loss before stopping; 0: never stop")
    keep: Keep = "best"

    def rates(self) -> dict[str, float]:
        """How weights' names begin → what their learning rate is multiplied by; of all others it is 1."""
        return {}

    @property
    def on_a_backbone(self) -> bool:
        """Whether it begins with a published network, which sees all images before and after the training."""
        return False

    @property
    def small(self) -> bool:
        """Whether its training gains little from a second core, so that two such train better side by side."""
        return True

    @property
    def quicker_on_all(self) -> bool:
        """Whether a training that has a machine to itself is quicker on all of its cores than on one."""
        return not self.small

    @classmethod
    def starts_from(cls, family: str) -> tuple[str, ...]:
        """What `start` may name: none, backbone, or a model of one of these families; family: the model's own."""
        return ("none", family)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        """The keys that must have the same values where it starts from a model of that family: own → the other's."""
        return {}

    def start_fault(self, family: str) -> str:
        """Why it cannot start from a model of that family, though others of its own can; empty if it can."""
        return ""

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        """The keys that a grow search widens, unless params.yaml names others; none if it cannot be widened."""
        return ()

    @classmethod
    def prepared_from(cls) -> tuple[str, ...]:
        """The keys that the stage `prepare` reads, beside `start`; a change of any other computes nothing again."""
        return ()

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        """The keys that no sweep can vary, each with the reason."""
        return {"data": NOT_COMPARABLE, "family": NOT_COMPARABLE, "start": READ_BEFORE}


class Batch(NamedTuple):
    """One batch. `inputs` and `targets` have one row per example, on the same device."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def to(self, device: torch.device, channels_last: bool = False) -> Batch:
        images = channels_last and self.inputs.dim() == 4
        order = torch.channels_last if images else torch.preserve_format
        return Batch(self.inputs.to(device, memory_format=order), self.targets.to(device))


def read_inputs(split: Split, rows: np.ndarray) -> torch.Tensor:
    """The inputs of these rows: images as float32 in [0, 1], stored features as they are."""
    values = torch.from_numpy(split.arrays["inputs"][rows])
    if values.dtype == torch.uint8:
        return values.float().div_(255)
    return values.view(torch.bfloat16) if values.dtype == torch.int16 else values


def any_order(split: Split, rows: np.ndarray, batch_size: int, generator: torch.Generator | None) -> np.ndarray:
    """The rows shuffled by the generator; as they are without one."""
    return rows if generator is None else rows[torch.randperm(len(rows), generator=generator).numpy()]


def no_augmentation(config: Any, batch: Batch) -> Batch:
    return batch


def nothing_drawn(config: Any, batch: Batch, random: torch.Generator | None) -> Batch:
    return batch


def data_as_it_is(config: Any, data: DataSpec) -> DataSpec:
    return data


@dataclass(frozen=True)
class Goal:
    """The metric of the validation subset by which trainings of a family are compared, and whether more is better."""

    metric: str
    more: bool

    @property
    def sign(self) -> int:
        """Times the metric: what is better the larger it is."""
        return 1 if self.more else -1


@dataclass(frozen=True)
class Task:
    """A model of a family, under the name of its entry. Every callable is a plain function in the family's own file.

    family: the family's name, which is also the name until `load_task` gives it that of an entry.

    A module's output is a tensor, or a NamedTuple of several.

    build:    (config, data spec) → untrained module. Raises UserError when the data does not fit the config.
    batch:    (split, row numbers) → Batch on the CPU, read whole, with no per-example Python.
    loss:     (config, module output, batch) → mean loss over the batch, a scalar.
    metrics:  (module output, batch) → name → sum over the batch's rows; divided by the count later.
    augment:  (config, batch on the device) → batch; in training only.
    draw:     (config, batch on the device, generator) → batch: what chance does to examples in training and in
              validation alike, such as noise. The generator is None in training: PyTorch's own.
    derive:   (config, split, empty folder) → the examples that it trains on where these are not the data set's own
              rows, or None. They are made by the stage `prepare`.
    spec:     (config, the data set's spec) → the spec of the examples that it trains on, which `derive` gives.
    order:    (split, rows, batch size over all workers, generator) → the rows in the order in which they are cut into
              batches; the generator, which alone may bring chance in, is None outside training.
    goal:     what a sweep looks for.
    both:     (config, module output, batch) → (what `loss` gives, what `metrics` gives), for a family where these share
              most of their work; metrics have no gradients.
    take:     (config, the data's spec, a trained model of another family, the spec of its data) → the weights that a
              model of this one starts from then; None if all of them.
    """

    name: str
    config: type[TrainingConfig]
    build: Callable[[Any, DataSpec], nn.Module]
    batch: Callable[[Split, np.ndarray], Batch]
    loss: Callable[[Any, Any, Batch], torch.Tensor]
    metrics: Callable[[Any, Batch], Mapping[str, torch.Tensor]]
    augment: Callable[[Any, Batch], Batch] = no_augmentation
    draw: Callable[[Any, Batch, torch.Generator | None], Batch] = nothing_drawn
    derive: Callable[[Any, Split, Path], Split] | None = None
    spec: Callable[[Any, DataSpec], DataSpec] = data_as_it_is
    order: Callable[[Split, np.ndarray, int, torch.Generator | None], np.ndarray] = any_order
    goal: Goal = Goal("loss", more=False)
    both: Callable[[Any, Any, Batch], tuple[torch.Tensor, Mapping[str, torch.Tensor]]] | None = None
    take: Callable[[Any, DataSpec, nn.Module, DataSpec], Mapping[str, torch.Tensor]] | None = None
    family: str = ""

    def measured(self, config: Any, outputs: Any, batch: Batch) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """(loss, metrics)."""
        if self.both is not None:
            return self.both(config, outputs, batch)
        return self.loss(config, outputs, batch), self.metrics(each(torch.Tensor.detach, outputs), batch)


def load_task(family: str, name: str = "") -> Task:
    """The task of a family, for the entry of that name. Raises UserError if there is no such family."""
    task: Task = declaration(MODELS, family, "TASK", kind="family")
    return replace(task, name=name or family, family=family)


def frozen(model: nn.Module) -> set[str]:
    """The names of the parameters that training leaves as they are: those of the untrained model."""
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def untrained(task: Task, config: TrainingConfig, data: DataSpec, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """The model that a training begins with, the same one each time: by the seed, then with `weights` if there are any.

    weights: those that it starts from, as the model's `start` takes them, or all of its own.
    """
    torch.manual_seed(config.seed)
    model = task.build(config, data)
    if weights:
        start(model, weights, config.where)
    return model


def start(model: nn.Module, weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Give a model the weights that it starts from. Raises UserError where they are of another shape."""
    own = model.state_dict()
    if hasattr(model, "start") and not own.keys() <= weights.keys():
        model.start(weights)  # type: ignore[operator]
        return
    for name, tensor in own.items():
        if name not in weights or weights[name].shape != tensor.shape:
            theirs = f"the shape {tuple(weights[name].shape)}" if name in weights else "no such weights"
            raise UserError(
                f"{where}.start: {name} has the shape {tuple(tensor.shape)}, and the model that it starts from has "
                f"{theirs}; give both the same layers, and data of one shape with as many classes"
            )
    model.load_state_dict({name: weights[name] for name in own})  # stored features leave a frozen beginning out
