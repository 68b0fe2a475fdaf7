"""The one training loop: one worker's epochs. torch only; Ray Train, Ray Tune and the tests all call it.

With several workers torch.distributed is already set up; every worker calls `fit` with the same arguments
and takes its share of each global batch. Examples, order and averaged gradients do not depend on how many
workers there are.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from components.data.arrays import Split, Subset
from components.errors import UserError
from components.models.outputs import each
from components.models.task import Task, TrainingConfig, frozen, untrained
from components.train import batch_norm, compiled, gradients
from components.train.average import WeightAverage
from components.train.batches import batches, cuts
from components.train.gradient_norms import LayerStatistics
from components.train.gradients import clip_gradients, decay_weights, make_optimizer, penalty
from components.train.metric_sums import Sums
from components.train.schedule import set_rate

State = dict[str, Any]
Report = Callable[[Mapping[str, float], State | None], None]


class Training:
    """A model in training, with everything that a checkpoint holds.

    history: one dict per finished epoch: epoch, loss, validation_loss, each metric and its validation_
             twin, gradient_norm, and `layers`: name → {gradient, update}.
    best:    {"epoch", "validation_loss", "model"} of the lowest validation loss so far, the model as `learnt` has it.
    """

    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        split: Split,
        device: torch.device,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.task, self.config, self.split, self.device = task, config, split, device
        self.rank = distributed.get_rank() if distributed.is_initialized() else 0
        self.world = distributed.get_world_size() if distributed.is_initialized() else 1
        torch.set_deterministic_debug_mode("warn")
        # Else torch fills each new array before it is written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        model = untrained(task, config, split.spec, weights or {}).to(device)
        self.channels_last = config.channels_last is True or (config.channels_last == "auto" and _convolves(model))
        self.model = model.to(memory_format=torch.channels_last if self.channels_last else torch.preserve_format)
        self.norms = batch_norm.trained(self.model)
        self._check_batch_size()
        self.parallel: nn.Module = DistributedDataParallel(self.model) if self.world > 1 else self.model
        self.steps = len(cuts(self, len(split.rows["train"]), "train")) - 1
        self.compiled = compiled.network(self.parallel, config, device, config.epochs * self.steps)
        self.optimizer = make_optimizer(self.model, config)
        self.average = WeightAverage(self.model, config.ema) if config.ema else None
        self.sampler = torch.Generator().manual_seed(config.seed)
        torch.manual_seed(config.seed + 1 + self.rank)  # dropout differs from worker to worker
        self.history: list[dict[str, Any]] = []
        self.best: State | None = None

    def _check_batch_size(self) -> None:
        """Raises UserError, on all workers alike, where one of them would get too few examples of a batch."""
        size, each = self.config.batch_size, 2 if self.norms and self.world > 1 else 1
        if size < each * self.world:
            raise UserError(
                f"{self.config.where}.batch_size: {size} is not enough for {self.world} workers"
                f"{', each of which needs two examples for batch norm' if each > 1 else ''}; set it to "
                f"{each * self.world} or more, or TRAINYARD_WORKERS to {max(1, size // each)} or less"
            )

    @property
    def finished(self) -> bool:
        return is_finished(self.config, self.history, self.best)

    def network(self, examples: int) -> nn.Module:
        """The module for a global batch: an odd one, as the last may be, is not worth compiling for."""
        whole = self.compiled is not None and examples == self.config.batch_size
        return self.compiled if whole else self.parallel  # type: ignore[return-value]

    def state(self) -> State:
        """Everything that the next epoch depends on. A collective call: every worker makes it."""
        rng: list[dict[str, Tensor]] = [{} for _ in range(self.world)]
        own = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.world > 1:
            distributed.all_gather_object(rng, own)
        else:
            rng = [own]
        return {
            "model": self.learnt(),
            "average": self.average.kept if self.average else {},
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.get_state(),
            "rng": rng,
            "history": self.history,
            "best": self.best,
        }

    def averaged(self) -> AbstractContextManager[Any]:
        """Within the block the model is what is validated and kept: that of averaged weights, if they are."""
        return self.average.in_place() if self.average else nullcontext()

    def learnt(self) -> dict[str, Tensor]:
        """The trained part of the model: its state without frozen weights, which need not be kept each epoch."""
        unchanged = frozen(self.model)
        return {name: value for name, value in self.model.state_dict().items() if name not in unchanged}

    def restore(self, state: State) -> None:
        """Go on from `state`. With another number of workers dropout's random numbers start anew."""
        lacking = self.model.load_state_dict(state["model"], strict=False)
        assert not lacking.unexpected_keys
        assert {*lacking.missing_keys} <= frozen(self.model)
        if self.average:
            self.average.restore(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.set_state(state["sampler"].cpu())
        self.history, self.best = list(state["history"]), state["best"]
        if len(state["rng"]) == self.world:
            own = state["rng"][self.rank]
            torch.set_rng_state(own["cpu"].cpu())
            if "cuda" in own and self.device.type == "cuda":
                torch.cuda.set_rng_state(own["cuda"].cpu(), self.device)
        else:
            torch.manual_seed(self.config.seed + (len(self.history) + 1) * self.world + self.rank)


def _convolves(model: nn.Module) -> bool:
    """Whether it has convolutions of images, which libraries compute faster where an image's channels lie together."""
    return any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in model.modules())


def is_finished(config: TrainingConfig, history: list[dict[str, Any]], best: State | None) -> bool:
    """All epochs are done, or the last `patience` epochs brought no lower validation loss."""
    waited = len(history) - (best["epoch"] if best else 0)
    return len(history) >= config.epochs or 0 < config.patience <= waited


def fit(
    task: Task,
    config: TrainingConfig,
    split: Split,
    device: torch.device,
    report: Report,
    resume: State | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> Training:
    """Train until finished, from `resume` if given, and return the training.

    weights: published ones that the untrained model starts from, if it is one that does.
    After each epoch every worker calls report(metrics, state), with state None except on rank 0.
    Raises UserError when the data do not fit the config, or the loss stops being finite.
    """
    training = Training(task, config, split, device, weights)
    if resume is not None:
        training.restore(resume)
    while not training.finished:
        started = time.perf_counter()
        epoch = _train_epoch(training)
        with training.averaged():
            _judge(training, epoch)
        seconds = time.perf_counter() - started
        flat = {k: v for k, v in training.history[-1].items() if k != "layers"}
        speed = {"seconds": seconds, "examples_per_second": len(split.rows["train"]) / seconds}
        state = training.state()
        report({**flat, **speed}, state if training.rank == 0 else None)
    return training


def _judge(training: Training, epoch: dict[str, Any]) -> None:
    """Validate an epoch's model, and keep it if it is the best so far."""
    if training.norms:
        _settle_statistics(training)
    epoch |= {f"validation_{k}": v for k, v in validate(training, "validation").items()}
    _check_finite(training, epoch)
    training.history.append({"epoch": len(training.history) + 1, **epoch})
    if training.best is None or epoch["validation_loss"] < training.best["validation_loss"]:
        training.best = {
            "epoch": len(training.history),
            "validation_loss": epoch["validation_loss"],
            "model": {k: v.detach().clone() for k, v in training.learnt().items()},
        }


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[Any]:
    """Mixed precision in bfloat16, if asked for, or on `auto` if the device is a GPU that has it."""
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if config.precision == "bfloat16" or (config.precision == "auto" and has_it):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _train_epoch(training: Training) -> dict[str, Any]:
    config, model = training.config, training.model
    training.parallel.train()
    statistics = LayerStatistics(model, training.steps)
    sums = Sums(training.device, training.world)
    begun = len(training.history) * training.steps
    for step, (batch, own, whole) in enumerate(batches(training, "train", training.sampler), begun):
        gradients.clear(training.optimizer)
        batch = training.task.draw(config, training.task.augment(config, batch), None)
        with autocast(config, training.device):
            where = training.config.where
            with batch_norm.explained(where, training.world), compiled.explained(where):
                outputs = training.network(whole)(batch.inputs)
            # Metrics as soon as the loss, while the outputs are in the cores' caches.
            loss, metrics = training.task.measured(config, each(Tensor.float, outputs), batch)
        sums.add(loss.detach(), metrics, own)
        # DistributedDataParallel averages over workers, whose shares may differ by one example.
        objective = loss if own * training.world == whole else loss * (own * training.world / whole)
        if config.l1 or config.l2:
            objective = objective + penalty(model, config.l1, config.l2)
        with compiled.explained(training.task.name):  # the way back is compiled when it is first gone
            objective.backward()
        statistics.before_step()
        clip_gradients(model, config)
        set_rate(training.optimizer, config, step, config.epochs * training.steps)
        decay_weights(training.optimizer, config)
        training.optimizer.step()
        statistics.after_step()
        if training.average:
            training.average.update(step)
    return {**sums.means(), "gradient_norm": statistics.total(), "layers": statistics.layers()}


@torch.no_grad()
def _settle_statistics(training: Training) -> None:
    """Measure batch norm's means and variances anew, with the epoch's weights, before these are validated and kept."""
    drawn = torch.Generator(training.device).manual_seed(training.config.seed + training.rank)
    with batch_norm.measured_anew(training.model, training.norms):
        # In an order of chance, the same each time: rows may lie sorted by class.
        shuffled = torch.Generator().manual_seed(training.config.seed)
        for batch, own, _ in itertools.islice(batches(training, "train", shuffled), batch_norm.MEASURED_BATCHES):
            if own:
                batch = training.task.draw(training.config, batch, drawn)
                with autocast(training.config, training.device):
                    training.model(batch.inputs)


@torch.no_grad()
def validate(training: Training, subset: Subset) -> dict[str, float]:
    """Mean loss and metrics over a subset, every example counted once, over all workers."""
    if training.world > 1:
        for buffer in training.model.buffers():  # batch norm's, from rank 0, whose model is kept
            distributed.broadcast(buffer, src=0)
    training.model.eval()
    sums = Sums(training.device, training.world)
    drawn = torch.Generator(training.device).manual_seed(training.config.seed + training.rank)  # the same each time
    for batch, own, _ in batches(training, subset, random=None):
        batch = training.task.draw(training.config, batch, drawn)
        with autocast(training.config, training.device):
            outputs = training.model(batch.inputs)
        sums.add(*training.task.measured(training.config, each(Tensor.float, outputs), batch), own)
    return sums.means()


def _check_finite(training: Training, epoch: Mapping[str, Any]) -> None:
    name, where = training.task.name, training.config.where
    for key in ("loss", "validation_loss"):
        if not math.isfinite(epoch[key]):
            raise UserError(
                f"{name}: the {key.replace('_', ' ')} became {epoch[key]} in epoch {len(training.history) + 1}: "
                f"the gradients explode; lower {where}.learning_rate ({training.config.learning_rate}) "
                f"or set {where}.clip to norm or value"
            )
