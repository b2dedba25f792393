"""Sums over an epoch: loss and accuracy, and what every neuron did."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from snnrun.loss import metric
from snnrun.sequence import Trace


class Scores(NamedTuple):
    """Means over the samples of one part."""

    loss: float
    accuracy: float | None  # None where the target is no class
    r2: float | None = None  # None where the target is no value


class Totals:
    """Running sums of loss and outcomes, weighted by the samples of each batch."""

    def __init__(self) -> None:
        self.samples, self._loss = 0, 0.0
        self._outcome: Tensor | None = None  # stays on the device until asked for

    def add(self, loss: float, outcome: Tensor | None, samples: int) -> None:
        """One batch: its mean loss, its ``snnrun.loss.outcome`` (correct ones, or sums of values), its size."""
        self.samples += samples
        self._loss += loss * samples
        if outcome is not None:
            self._outcome = outcome if self._outcome is None else self._outcome + outcome

    def scores(self) -> Scores:
        """The means over all batches so far."""
        loss = self._loss / self.samples
        if self._outcome is None:
            return Scores(loss, None)
        if self._outcome.dim():
            return Scores(loss, None, metric.r2_of_sums(self._outcome).item())
        return Scores(loss, self._outcome.item() / self.samples)


class Activity:
    """What every neuron did.

    Args:
        skip: names of layers that never fire, as some read-outs do: they have no activity.
    """

    def __init__(self, skip: Collection[str] = ()) -> None:
        self._skip = skip
        self._counts: dict[str, Tensor] = {}
        self._chances = 0  # steps times samples: how often each neuron could have fired

    @torch.no_grad()
    def add(self, traces: Mapping[str, Trace]) -> None:
        """One batch of spikes ``[T, B, *N]`` per layer; a graded spike counts as one."""
        for name, trace in traces.items():
            if name not in self._skip:
                count = (trace.spikes != 0).sum((0, 1))
                self._counts[name] = self._counts[name] + count if name in self._counts else count
        self._chances += trace.spikes.shape[0] * trace.spikes.shape[1]

    def summary(self) -> dict[str, dict[str, float]]:
        """Per layer: number of neurons, spikes per neuron and step, share that never fired, share that always did."""
        return {
            name: {
                "neurons": count.numel(),
                "firing_rate": count.double().mean().item() / self._chances,
                "silent": (count == 0).double().mean().item(),
                "saturated": (count == self._chances).double().mean().item(),
            }
            for name, count in self._counts.items()
        }
