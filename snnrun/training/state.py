"""All that changes from one training step to the next, as a checkpoint holds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from snnrun.config.build import PartError
from snnrun.neuron.value import Value
from snnrun.scheduler import StepScheduler
from snnrun.training.average import WeightAverage
from snnrun.training.groups import Groups, split
from snnrun.training.progress import Progress
from snnrun.training.streams import Streams


@dataclass
class TrainingState:
    """Everything that training changes. It can be saved, and loaded, between any two steps.

    Attributes:
        model: weights and buffers, on the device that trains.
        optimizer: of the model's parameters.
        scheduler: of the optimizer.
        streams: the random streams.
        progress: epoch, step, sums over the epoch under way. Default: before the first step.
        average: the moving average of the weights, which is evaluated in their place. Default: none.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    streams: Streams
    progress: Progress = field(default_factory=Progress)
    average: WeightAverage | None = None

    @classmethod
    def create(
        cls,
        model: nn.Module,
        streams: Streams,
        *,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
        capturable: bool = False,
        total_steps: int | None = None,
        groups: Groups | None = None,
        ema: float | None = None,
    ) -> TrainingState:
        """The state before the first step.

        Args:
            optimizer: called with an iterable of parameters; see :func:`build_optimizer`.
            scheduler: called with the optimizer; see :func:`build_scheduler`.
            capturable: see :func:`build_optimizer`.
            total_steps: the steps of the whole training, for a schedule per step. Default: unknown.
            groups: learning rate and weight decay of groups of parameters. Default: all have the optimizer's.
            ema: decay of the moving average of the weights; see :class:`WeightAverage`. Default: no average.

        Raises:
            ValueError: for an argument of optimizer or scheduler that is out of range, and for a group without a
                parameter.
        """
        instance = build_optimizer(optimizer, model, groups, capturable=capturable)
        _clip_after_steps(instance, model)
        average = None if ema is None else WeightAverage(model, ema)
        return cls(model, instance, build_scheduler(scheduler, instance, total_steps), streams, average=average)

    def averaged(self) -> AbstractContextManager[None]:
        """Within this context the model has the weights that are evaluated: their average, if there is one."""
        return nullcontext() if self.average is None else self.average.applied()

    def evaluated_weights(self) -> dict[str, Tensor]:
        """The model's weights and buffers as they are evaluated; a copy if there is an average."""
        if self.average is None:
            return self.model.state_dict()
        with self.averaged():
            return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """The state as numbers, text, tensors, and lists and mappings of them; a user's own part may add other values.

        The tensors are not copied.
        """
        average = {} if self.average is None else {"average": self.average.state()}
        return {
            "progress": self.progress.state(),
            "streams": self.streams.state(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            **average,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load what ``state_dict`` returned. ``progress`` becomes another object.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError, AttributeError: if ``state`` is of something else. A part of
                it may be loaded then.
        """
        self.model.load_state_dict(state["model"])
        # Whether a CUDA graph has the step is for this process to decide, not for the checkpoint.
        capturable = [group.get("capturable") for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(self.optimizer.param_groups, capturable, strict=True):
            if own is not None:
                group["capturable"] = own
        self.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.restore(state["average"])
        # torch's scheduler warns if it steps before the optimizer, by this private attribute. No state has it, so a run
        # that is resumed between the last step of an epoch and its end would warn in vain.
        optimizer: Any = self.optimizer
        optimizer._opt_called = True
        self.streams.restore(state["streams"])
        self.progress = Progress.of(state["progress"])


def _clip_after_steps(optimizer: Optimizer, model: nn.Module) -> None:
    """After each step of the optimizer the learnt values of neurons that have a range are moved back into it."""
    values = [module for module in model.modules() if isinstance(module, Value) and module.clips]

    def clip(*_: Any) -> None:
        for value in values:
            value.clip()

    if values:
        optimizer.register_step_post_hook(clip)


def build_scheduler(make: Callable[..., LRScheduler], optimizer: Optimizer, total_steps: int | None) -> LRScheduler:
    """The scheduler; one per step gets ``total_steps``, unless the config decides.

    Raises:
        PartError: for an argument of a schedule per step that is out of range, such as a warm-up that is too long.
    """
    if not isinstance(make, partial) or not isinstance(make.func, type) or not issubclass(make.func, StepScheduler):
        return make(optimizer)
    own = make.keywords.get("total_steps")
    try:
        return make(optimizer, total_steps=total_steps if own is None else own)
    except (ValueError, TypeError) as error:
        raise PartError.of("scheduler", error, make.keywords) from error


def build_optimizer(
    make: Callable[..., Optimizer], model: nn.Module, groups: Groups | None = None, *, capturable: bool = False
) -> Optimizer:
    """The optimizer; with torch's fused step, if it has one and the config does not decide.

    The fused step is the same update, in one pass over a parameter instead of a pass for each operation.

    Args:
        groups: learning rate and weight decay of groups of parameters. Default: all have the optimizer's.
        capturable: a CUDA graph will have the step. Its state is then on the GPU, as a fused step's always is.

    Raises:
        ValueError: for an argument out of range, and for a group without a parameter.
    """
    every = list(model.parameters())
    parameters = split(model, groups) if groups else every
    if not isinstance(make, partial) or not make.func.__module__.startswith("torch.optim."):
        return make(parameters)
    decided = any(make.keywords.get(name) is not None for name in ("fused", "foreach"))
    decided |= make.keywords.get("differentiable", False)
    # For others torch's fused steps are an error.
    able = every and all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in every)
    options = inspect.signature(make.func).parameters
    if able and not decided and "fused" in options:
        return make(parameters, fused=True)
    if capturable and "capturable" in options:
        return make(parameters, capturable=True)
    return make(parameters)
