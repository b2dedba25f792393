"""Cross-entropies of counts, steps, membranes or times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.loss.base import SampleLoss
from snnrun.loss.padding import Record
from snnrun.loss.readout import first_spike_time, pool, spike_count
from snnrun.loss.target import class_labels, step_labels
from snnrun.task.base import NO_LABEL


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(SampleLoss):
    """Base of the cross-entropies.

    Args:
        smoothing: share of the target, in [0, 1), that all classes have alike. Default 0.
    """

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("smoothing", self.smoothing, low=0, below=1)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``[B, *P]`` for logits ``[B, C, *P]`` and labels ``[B, *P]``."""
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.smoothing)

    def every_step(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``[T, B, *P]`` for logits ``[T, B, C, *P]`` and labels ``[B, *P]``."""
        labels = labels.expand(len(logits), *labels.shape)
        # Class by class in memory: torch's softmax over a few adjacent elements is three times slower than over a few
        # rows.
        by_class = logits.movedim(2, 0).flatten(1).contiguous()
        return self.cross_entropy(by_class[None], labels.flatten()[None]).view(labels.shape)


@dataclass(frozen=True, kw_only=True)
class CECount(CrossEntropy):
    """Cross-entropy on the spike count: the count of each neuron is its logit.

    ``mean_b CE(Σ_t s[t, b], target[b])``.

    Args:
        accuracy: default ``count``. For the other options see ``SampleLoss``.

    Source: snnTorch's ``ce_count_loss``.
    """

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return self.cross_entropy(spike_count(spikes), class_labels(target))


@dataclass(frozen=True, kw_only=True)
class CERate(CrossEntropy):
    """Cross-entropy on the spikes of every step, averaged over the steps.

    ``mean_t mean_b CE(s[t, b], target[b])``: asks the right neuron to fire at every step, the others never.

    Args:
        accuracy: default ``count``. For the other options see ``SampleLoss``.

    Source: snnTorch's ``ce_rate_loss``.
    """

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return self.every_step(spikes, class_labels(target)).mean(0)


@dataclass(frozen=True, kw_only=True)
class CEMembrane(CrossEntropy):
    """Cross-entropy on the membrane of the read-out: the membrane summed over time is the logit.

    ``over_time`` reduces the time steps: ``sum``, ``mean_b CE(Σ_t u[t, b], target[b])``; ``mean``, the same with the
    mean; ``last``, with the membrane of the last step; ``every_step``, the sum of each step's cross-entropy,
    ``Σ_t mean_b CE(u[t, b], target[b])``. For the largest membrane see ``CEMaxMembrane``.

    Args:
        over_time: ``sum`` (default), ``mean``, ``last`` or ``every_step``.
        accuracy: default ``membrane``. For the other options see ``SampleLoss``.

    Source: snnTorch's tutorial 5 (``every_step``).
    """

    accuracy: str = "membrane"
    over_time: str = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("over_time", self.over_time, ("sum", "mean", "last", "every_step"))

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        if self.over_time == "every_step":
            return self.every_step(membrane, class_labels(target)).sum(0)
        if self.over_time == "last":
            return self.cross_entropy(membrane[-1], class_labels(target))
        logits = membrane.sum(0) if self.over_time == "sum" else membrane.mean(0)
        return self.cross_entropy(logits, class_labels(target))


@dataclass(frozen=True, kw_only=True)
class CEMaxMembrane(CrossEntropy):
    """Cross-entropy on the largest membrane: each neuron's maximum over time is its logit.

    ``mean_b CE(max_t u[t, b], target[b])``.

    Args:
        accuracy: default ``max_membrane``. For the other options see ``SampleLoss``.

    Source: SpyTorch (Zenke 2018); snnTorch's ``ce_max_membrane_loss``.
    """

    accuracy: str = "max_membrane"

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return self.cross_entropy(membrane.max(0).values, class_labels(target))


@dataclass(frozen=True, kw_only=True)
class CESoftmax(CrossEntropy):
    """Cross-entropy on the softmax of each step, summed over time.

    ``mean_b CE(Σ_t softmax(u[t, b]), target[b])``: each step casts a vote of 1, which it shares among the classes, and
    the votes are the logits of a second softmax. The usual read-out on SHD, of a leaky integrator.

    Args:
        accuracy: default ``softmax``, the same votes. For the other options see ``SampleLoss`` and ``CrossEntropy``.

    Source: Bittar & Garner 2022, "A surrogate gradient spiking baseline for speech command recognition"; Hammouamri et
    al. 2024; Baronig et al. 2025.
    """

    accuracy: str = "softmax"

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return self.cross_entropy(membrane.softmax(2).sum(0), class_labels(target))


@dataclass(frozen=True, kw_only=True)
class CETemporal(CrossEntropy):
    """Cross-entropy on the time of the first spike: the earlier a neuron fires, the larger its logit.

    ``mean_b CE(-t[b], target[b])``, or with ``reciprocal`` ``CE(1 / (t[b] + 1), …)``, where ``t`` is the step of the
    first spike and T - 1 for a silent neuron; see ``spike_times`` for its gradient.

    Args:
        inverse: ``negate`` (default) or ``reciprocal``.
        accuracy: default ``first_spike``. For the other options see ``SampleLoss``.

    Source: snnTorch's ``ce_temporal_loss``.
    """

    accuracy: str = "first_spike"
    inverse: str = "negate"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("inverse", self.inverse, ("negate", "reciprocal"))

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        time = first_spike_time(spikes)
        return self.cross_entropy(-time if self.inverse == "negate" else 1 / (time + 1), class_labels(target))


@dataclass(frozen=True, kw_only=True)
class TET(CrossEntropy):
    """Temporal efficient training: cross-entropy on the membrane of every step, and a pull towards one value.

    ``(1 - λ) mean_t mean_b CE(u[t, b], target[b]) + λ mean_{t,b,c} (u[t, b, c] - φ)²``.

    Args:
        pull: λ in [0, 1], the share of the second term. Default 0.001; the paper has 0.05.
        level: φ, in the unit of the membrane. Default 1, the threshold.
        accuracy: default ``membrane``. For the other options see ``SampleLoss``.

    Source: Deng et al. 2022, "Temporal efficient training of spiking neural network via gradient re-weighting";
    SpikingJelly's ``TETLoss`` and, with λ = 0, ``temporal_efficient_training_cross_entropy``.
    """

    accuracy: str = "membrane"
    pull: float = 0.001
    level: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("pull", self.pull, low=0, high=1)
        check.number("level", self.level)

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        cross_entropy = self.every_step(membrane, class_labels(target)).mean(0)
        if self.pull == 0:
            return cross_entropy
        return (1 - self.pull) * cross_entropy + self.pull * ((membrane - self.level) ** 2).mean((0, 2))


@dataclass(frozen=True, kw_only=True)
class CESteps(CrossEntropy):
    """Cross-entropy of every step with the label of that step, for tasks with a label for each step.

    ``Σ_{b,t} w l / Σ_{b,t} w``, with ``l = CE(z[t, b], target[b, t])`` and ``z`` the membrane or the spikes of the
    read-out. Steps without a label do not count. ``target`` is ``[B, T]``, int64, -1 where a step has no label.

    Args:
        accuracy: ``membrane`` (default) or ``count``: what is z, whose largest value is the predicted class of a step.
        skip_steps: number of steps at the begin that do not count in the loss; they do in the accuracy. Default 0.
        smoothing: see ``CrossEntropy``.
        class_weights: w, a factor for the steps of each class; null (default) for 1.
        normalize_weights: whether the mean is over the weights (default), or over the steps with a label.
        reduction: ``mean`` (default), or ``sum``, which grows with the batch and the number of steps.
        population, regularisers: see ``LabelLoss``.

    Source: Yin, Corradi and Bohté 2021, for the ECG.
    """

    needs_steps = True

    accuracy: str = "membrane"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("accuracy", self.accuracy, ("membrane", "count"))

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        """The loss of each step, ``[B, T]``; 0 for a step that does not count."""
        logits, labels = self._logits(spikes, membrane), step_labels(target, spikes)
        if self.skip_steps >= labels.shape[1]:
            raise ArgumentError("skip_steps", f"less than the {labels.shape[1]} steps", self.skip_steps)
        counts = self._counts(labels)
        by_class = logits.movedim(2, 0).flatten(1)[None]  # see ``every_step``
        flat = torch.where(counts, labels, 0).T.flatten()[None]
        losses = self.cross_entropy(by_class, flat)
        return torch.where(counts, losses.view(labels.T.shape).T, 0.0)

    def predict(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """The class of every step, ``[B, T]``, int64."""
        spikes, membrane = pool(spikes, self.population), pool(membrane, self.population, mean=True)
        return self._logits(spikes, membrane).argmax(2).T

    def _without_begin(self, record: Tensor) -> Tensor:
        return record  # the steps that are skipped have a place in the losses, [B, T]

    def of_records(self, records: Iterable[Record]) -> Tensor:
        losses, totals = zip(*(self._sums(self._elements(*record), record.target) for record in records), strict=True)
        return self._mean(torch.stack(losses).sum(), torch.stack(totals).sum())

    def _reduce(self, loss: Tensor, target: Tensor | None) -> Tensor:
        return self._mean(*self._sums(loss, target))

    def _sums(self, loss: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sum of the losses, and of what they are a mean over."""
        loss, weights = self._weigh(loss, target)
        counts = self._counts(class_labels(target))
        if weights is not None and self.normalize_weights:
            total = torch.where(counts, weights, 0.0).sum()
        else:
            total = counts.sum().to(loss.dtype)
        return loss.sum(), total

    def _mean(self, loss: Tensor, total: Tensor) -> Tensor:
        return loss if self.reduction == "sum" else loss / torch.where(total > 0, total, 1.0)

    def _logits(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        return membrane if self.accuracy == "membrane" else spikes

    def _counts(self, labels: Tensor) -> Tensor:
        """True for the steps ``[B, T]`` that count."""
        return (labels != NO_LABEL) & (torch.arange(labels.shape[1], device=labels.device) >= self.skip_steps)
