"""The base classes of losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.loss import metric
from snnrun.loss.padding import Record
from snnrun.loss.readout import pool
from snnrun.loss.regulariser import Regulariser
from snnrun.loss.target import class_labels
from snnrun.system.device import constant

ACCURACIES = ("count", "membrane", "max_membrane", "last_membrane", "softmax", "first_spike")


@dataclass(frozen=True, kw_only=True)
class Loss(ABC):
    """Base of all losses.

    Args:
        regularisers: penalties for the activity of all layers, by any name. Default none.
    """

    needs_labels: ClassVar[bool] = True  # the target must be class labels
    needs_values: ClassVar[bool] = False  # the target must be numbers
    needs_steps: ClassVar[bool] = False  # there must be a target for each step
    joins_samples: ClassVar[bool] = False  # no mean over samples: they must have one length

    regularisers: Mapping[str, Regulariser] = field(default_factory=dict)

    def __post_init__(self) -> None:
        of = self.regularisers
        if not isinstance(of, Mapping) or not all(isinstance(part, Regulariser) for part in of.values()):
            raise ArgumentError("regularisers", "regularisers by name", of)

    @abstractmethod
    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        """The loss of the read-out ``[T, B, C]``, a scalar, without the regularisers."""

    @property
    def least_steps(self) -> int:
        """The least number of steps of a sample."""
        return 1

    @property
    def regularises(self) -> bool:
        """True if there is a penalty."""
        return bool(self.regularisers) or type(self).penalty is not Loss.penalty

    def of_records(self, records: Iterable[Record]) -> Tensor:
        """The loss of a batch whose samples differ in length, from the record of each: the mean over the samples."""
        return torch.stack([self(*record) for record in records]).mean()

    def penalty(self, spikes: Mapping[str, Tensor], lengths: Tensor | None = None) -> Tensor | float:
        """The sum of the regularisers, for the spikes of every layer, the read-out last; 0 without any.

        ``lengths``: the steps of each sample, ``[B]`` int64 on the CPU, if they differ.
        """
        return sum((part(spikes, lengths) for part in self.regularisers.values()), 0.0)

    def predict(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """The prediction: classes ``[B]``, int64, the first of those with the largest score; or values."""
        return self.scores(spikes, membrane).argmax(1)

    def scores(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """The scores of the classes, ``[B, C]``: the largest wins. By default the spikes of each neuron."""
        return metric.scores_by_count(spikes)

    def num_outputs(self, size: int) -> int:
        """Read-out neurons for ``size`` classes or values."""
        return size


@dataclass(frozen=True, kw_only=True)
class LabelLoss(Loss):
    """Base of the losses for class labels.

    Args:
        accuracy: criterion of the predicted class: ``count`` (most spikes), ``membrane`` (the largest summed over
            time), ``max_membrane`` (the largest at any step), ``last_membrane`` (the largest at the last step),
            ``softmax`` (the largest softmax of the membranes summed over time) or ``first_spike`` (the earliest).
        population: read-out neurons per class, which are adjacent; their spikes are summed, their membranes averaged.
            Default 1.
        regularisers: see ``Loss``.
    """

    accuracy: str = "count"
    population: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("accuracy", self.accuracy, ACCURACIES)
        check.integer("population", self.population, low=1)

    def scores(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """The scores of the classes, ``[B, C]``, by ``accuracy``."""
        if self.accuracy == "count":
            return metric.scores_by_count(spikes, self.population)
        if self.accuracy == "first_spike":
            return metric.scores_by_first_spike(spikes, self.population)
        if self.accuracy == "max_membrane":
            return metric.scores_by_max_membrane(membrane, self.population)
        if self.accuracy == "softmax":
            return metric.scores_by_softmax(membrane, self.population)
        if self.accuracy == "last_membrane":
            return metric.scores_by_membrane(membrane[-1:], self.population)
        return metric.scores_by_membrane(membrane, self.population)

    def num_outputs(self, size: int) -> int:
        return size * self.population


@dataclass(frozen=True, kw_only=True)
class SampleLoss(LabelLoss):
    """Base of the losses that are a mean, or a sum, over the samples.

    Args:
        class_weights: a factor for the samples of each class; null (default) for 1.
        normalize_weights: whether the mean is over the weights, ``Σ w l / Σ w`` (torch's; default), or over the
            samples, ``Σ w l / B``.
        reduction: ``mean`` (default), or ``sum``, which grows with the batch.
        skip_steps: number of steps at the begin that count neither in the loss nor in the accuracy. Default 0.
        accuracy, population, regularisers: see ``LabelLoss``.
    """

    class_weights: Sequence[float] | None = None
    normalize_weights: bool = True
    reduction: str = "mean"
    skip_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights is not None:
            if isinstance(self.class_weights, (str, bytes)) or not isinstance(self.class_weights, Sequence):
                raise ArgumentError("class_weights", "a list of numbers or null", self.class_weights)
            for i, weight in enumerate(self.class_weights):
                check.number(f"class_weights[{i}]", weight, low=0)
            if not sum(self.class_weights) > 0:
                raise ArgumentError("class_weights", "at least one above 0", list(self.class_weights))
        check.flag("normalize_weights", self.normalize_weights)
        check.choice("reduction", self.reduction, ("mean", "sum"))
        check.integer("skip_steps", self.skip_steps, low=0)

    @property
    def least_steps(self) -> int:
        return self.skip_steps + 1

    @abstractmethod
    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        """The loss of each sample, ``[B]`` or ``[B, *]``, from a pooled record ``[T, B, C]``."""

    def sample_losses(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        """The weighted loss of each sample, ``[B]`` or ``[B, *]``, before the reduction."""
        return self._weigh(self._elements(spikes, membrane, target), target)[0]

    def scores(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """The scores of the classes, ``[B, C]``, by ``accuracy``, without the steps that are skipped."""
        return super().scores(self._without_begin(spikes), self._without_begin(membrane))

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return self._reduce(self._elements(spikes, membrane, target), target)

    def of_records(self, records: Iterable[Record]) -> Tensor:
        losses, targets = zip(*((self._elements(*record), record.target) for record in records), strict=True)
        return self._reduce(torch.cat(losses), torch.cat(targets))

    def _elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        """The loss of each sample, ``[B]`` or ``[B, *]``, without weights."""
        spikes, membrane = self._without_begin(spikes), self._without_begin(membrane)
        spikes, membrane = pool(spikes, self.population), pool(membrane, self.population, mean=True)
        if self.class_weights is not None:
            self.num_outputs(spikes.shape[2])  # as many weights as classes?
        return self.elements(spikes, membrane, target)

    def _without_begin(self, record: Tensor) -> Tensor:
        if self.skip_steps and self.skip_steps >= len(record):
            raise ArgumentError("skip_steps", f"less than the {len(record)} steps of a sample", self.skip_steps)
        return record[self.skip_steps :] if self.skip_steps else record

    def _reduce(self, loss: Tensor, target: Tensor | None) -> Tensor:
        loss, weights = self._weigh(loss, target)
        if self.reduction == "sum":
            return loss.sum()
        if weights is not None and self.normalize_weights:
            return loss.sum() / weights.expand_as(loss).sum()
        return loss.mean()

    def num_outputs(self, size: int) -> int:
        if self.class_weights is not None and len(self.class_weights) != size:
            raise ArgumentError("class_weights", f"a number for each of the {size} classes", len(self.class_weights))
        return super().num_outputs(size)

    def _weigh(self, loss: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.class_weights is None:
            return loss, None
        labels = class_labels(target)
        chosen = labels.clamp(min=0)  # a step without a label has loss 0
        weights = constant(self.class_weights, loss.dtype, loss.device)[chosen]
        weights = weights.view(*weights.shape, *[1] * (loss.dim() - weights.dim()))
        return loss * weights, weights
