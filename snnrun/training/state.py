"""What changes from one training step to the next: all that a checkpoint holds of a run, as one object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from snnrun.training.progress import Progress
from snnrun.training.streams import Streams


@dataclass
class TrainingState:
    """Everything that training changes. Between two steps it can be saved, and training goes on from what was saved.

    Attributes:
        model: weights and buffers, on the device that trains.
        optimizer: of the model's parameters.
        scheduler: of the optimizer.
        streams: the random streams.
        progress: epoch, step, sums over the epoch under way. Default: before the first step.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    streams: Streams
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def create(
        cls,
        model: nn.Module,
        streams: Streams,
        *,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
    ) -> TrainingState:
        """The state before the first step.

        Args:
            optimizer: makes the optimizer of an iterable of parameters; see :func:`build_optimizer`.
            scheduler: makes the scheduler of an optimizer.

        Raises:
            ValueError: for an argument of optimizer or scheduler that is out of range.
        """
        built = build_optimizer(optimizer, model)
        return cls(model, built, scheduler(built), streams)

    def state_dict(self) -> dict[str, Any]:
        """All of it, as numbers, text, tensors, and lists and mappings of them; what a part of a user's own adds aside.

        The tensors are those of the state itself, not copies.
        """
        return {
            "progress": self.progress.state(),
            "streams": self.streams.state(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Put everything back to what ``state_dict`` returned. ``progress`` becomes another object.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError, AttributeError: if it is the state of something else. Some of
                it may be loaded then.
        """
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        # torch's scheduler warns where it steps before the optimizer, which it learns from this private attribute. No
        # state has it; so a run that is resumed between the last step of an epoch and its end would warn in vain.
        optimizer: Any = self.optimizer
        optimizer._opt_called = True
        self.streams.restore(saved["streams"])
        self.progress = Progress.of(saved["progress"])


def build_optimizer(make: Callable[..., Optimizer], model: nn.Module) -> Optimizer:
    """The optimizer; where torch has a fused step for it and the config says nothing else, with that.

    The fused step is the same update, in one pass over a parameter instead of one for each of the update's operations.

    Raises:
        ValueError: for an argument out of range.
    """
    parameters = list(model.parameters())
    if not isinstance(make, partial) or not make.func.__module__.startswith("torch.optim."):
        return make(parameters)
    decided = any(make.keywords.get(name) is not None for name in ("fused", "foreach"))
    decided |= make.keywords.get("differentiable", False)
    # Without these, torch's fused steps are an error.
    able = parameters and all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
    if able and not decided and "fused" in inspect.signature(make.func).parameters:
        return make(parameters, fused=True)
    return make(parameters)
