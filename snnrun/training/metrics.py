"""Measurements over batches: loss and accuracy, activity of neurons, chance, the sample for figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnrun.loss import metric
from snnrun.loss.padding import join_steps
from snnrun.sequence import Trace
from snnrun.system.device import wide
from snnrun.system.team import Team
from snnrun.task import NO_LABEL, Batch
from snnrun.training.confusion import Confusion
from snnrun.training.records import LayerActivity


class Scores(NamedTuple):
    """Means over the samples of one data set."""

    loss: float
    accuracy: float | None  # None if the target is no class
    r2: float | None = None  # None if the target is no value
    confusion: Confusion | None = None  # if there are class names, at rank 0


class Totals:
    """Running sums of loss and outcomes, weighted by the samples of each batch."""

    def __init__(self) -> None:
        self.samples = 0
        # Tensors stay on the device until they are read.
        self._loss: Tensor | float = 0.0
        self._outcome: Tensor | None = None

    def add(self, loss: Tensor | float, outcome: Tensor | None, samples: int) -> None:
        """One batch: its mean loss, its ``snnrun.loss.outcome``, its size."""
        self.samples += samples
        self._loss = self._loss + (wide(loss.detach()) if isinstance(loss, Tensor) else loss) * samples
        if outcome is not None:
            # A copy, since a CUDA graph overwrites its results in the next step.
            self._outcome = outcome.clone() if self._outcome is None else self._outcome.to(outcome.device) + outcome

    def state(self) -> dict[str, Any]:
        """The sums, to be saved."""
        return {"samples": self.samples, "loss": float(self._loss), "outcome": self._outcome}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Totals:
        """The inverse of ``state``."""
        totals = cls()
        totals.samples, totals._loss, totals._outcome = state["samples"], state["loss"], state["outcome"]
        return totals

    def scores(self) -> Scores:
        """The means over all batches so far."""
        loss = float(self._loss) / self.samples
        if self._outcome is None:
            return Scores(loss, None)
        if self._outcome.dim() == 2:
            return Scores(loss, None, metric.r2_of_sums(self._outcome).item())
        return Scores(loss, share_correct(self._outcome.flatten().tolist(), self.samples))


def share_correct(counts: Sequence[float], samples: int) -> float:
    """The accuracy for an outcome of labels: the number correct, of the samples, or of as many labels as follow it."""
    correct, *labels = counts
    return correct / (labels[0] if labels else samples)


class Chance:
    """Collects the class labels of the batches of a data set.

    Attributes:
        samples: number so far.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._labels: list[Tensor] = []  # on their device, until they are read

    def add(self, batch: Batch) -> None:
        """One batch; its target is ``[B]`` or ``[B, *]`` labels, values, or None. A step without a label is none."""
        self.samples += batch.x.shape[1]
        if batch.target is not None and not batch.target.is_floating_point():
            self._labels.append(batch.target.flatten())

    def share(self) -> float | None:
        """Share of the most frequent class, 0 to 1; None without labels."""
        if not self._labels:
            return None
        labels = torch.cat(self._labels).cpu()
        counts = labels[labels != NO_LABEL].bincount()
        return int(counts.max()) / int(counts.sum())


class SampleSearch:
    """Looks for the sample ``index`` (from 0 on) among the batches of a data set, in their order.

    Attributes:
        sample: a batch of it alone; None before its batch.
        count: number of samples so far.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.count = 0
        self.sample: Batch | None = None

    def add(self, batch: Batch) -> None:
        """The next batch."""
        at, size = self.index - self.count, batch.x.shape[1]
        if 0 <= at < size:
            # Copies, so that the whole batch need not stay in memory.
            target = None if batch.target is None else batch.target[at : at + 1].clone()
            lengths = None if batch.lengths is None else batch.lengths[at : at + 1].clone()
            end = None if lengths is None else int(lengths)
            self.sample = Batch(batch.x[:end, at : at + 1].clone(), target, lengths)
        self.count += size


class Counts(NamedTuple):
    """How often the neurons of one batch fired.

    Attributes:
        fired: number of spikes of each neuron, ``[*N]`` int64, by layer.
        chances: steps times samples.
    """

    fired: dict[str, Tensor]
    chances: int


class Activity:
    """How often every neuron fired.

    Args:
        skip: names of layers that never fire, such as some read-outs: they have no activity.
    """

    def __init__(self, skip: Collection[str] = ()) -> None:
        self.skip = skip
        self._counts: dict[str, Tensor] = {}
        self._chances = 0  # steps times samples: how often each neuron could have fired

    def add(self, traces: Mapping[str, Trace]) -> None:
        """One batch of spikes ``[T, B, *N]`` per layer; a graded spike counts as one."""
        self.add_counts(self.count(traces))

    @torch.no_grad()
    def count(self, traces: Mapping[str, Trace], lengths: Tensor | None = None) -> Counts:
        """The counts of one batch, to be added later; ``lengths`` ``[B]``: the steps of each sample, if they differ."""
        fired = {name: times_fired(trace, lengths) for name, trace in traces.items() if name not in self.skip}
        last = list(traces.values())[-1].spikes
        return Counts(fired, last.shape[0] * last.shape[1] if lengths is None else int(lengths.sum()))

    def add_counts(self, counts: Counts) -> None:
        """One batch. The counts may change afterwards: a CUDA graph writes them again in the next step."""
        for name, count in counts.fired.items():
            # The counts of a checkpoint are on the CPU.
            before = self._counts.get(name)
            self._counts[name] = count.clone() if before is None else before.to(count.device) + count
        self._chances += counts.chances

    def state(self) -> dict[str, Any]:
        """The counts, to be saved."""
        return {"skip": sorted(self.skip), "counts": dict(self._counts), "chances": self._chances}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Activity:
        """The inverse of ``state``."""
        activity = cls(set(state["skip"]))
        activity._counts, activity._chances = dict(state["counts"]), state["chances"]
        return activity

    def pool(self, team: Team) -> None:
        """Sum all processes' counts at rank 0; the other ranks have none afterwards."""
        if team.size == 1:
            return
        device = next((count.device for count in self._counts.values()), torch.device("cpu"))
        counts = [torch.tensor([self._chances], device=device), *(count.reshape(-1) for count in self._counts.values())]
        flat = team.reduce_sum(torch.cat(counts) if self._counts else counts[0].new_zeros(0))
        if not team.leads:
            self._counts, self._chances = {}, 0
            return
        for count, part in zip(self._counts.values(), flat[1:].split([len(c) for c in counts[1:]]), strict=True):
            count.copy_(part.view(count.shape))
        self._chances = int(flat[0])

    def summary(self) -> dict[str, LayerActivity]:
        """The activity of each layer, by its name."""
        return {
            name: LayerActivity(
                neurons=count.numel(),
                firing_rate=count.double().mean().item() / self._chances,
                silent=(count == 0).double().mean().item(),
                saturated=(count == self._chances).double().mean().item(),
            )
            for name, count in ((name, count.cpu()) for name, count in self._counts.items())
        }


def times_fired(trace: Trace, lengths: Tensor | None = None) -> Tensor:
    """How often each neuron fired, ``[*N]`` int64; a graded spike counts as one.

    ``lengths``: the steps of each sample, ``[B]`` int64 on the CPU, if they differ. The trace then has the spikes.
    """
    if lengths is not None:
        return (join_steps(trace.spikes, lengths) != 0).sum((0, 1))
    if trace.fired is not None:
        if trace.fired.device.type != "cpu":
            return trace.fired.sum(0, dtype=torch.int64)  # without waiting for the device
        total = trace.fired.sum(0)
        # Whole numbers, exact up to 2^24; float64 from the start would take five times as long.
        return (total if total.max() < 2**24 else trace.fired.sum(0, dtype=torch.float64)).long()
    return (trace.spikes != 0).sum((0, 1))
