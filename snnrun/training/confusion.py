"""The confusion matrix: counted batch by batch, summed over processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from snnrun.system.team import Team

MOST_CLASSES = 100  # a larger matrix is too large for a result and a figure, and is not counted


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix.

    Attributes:
        classes: their names, in the order of the labels.
        counts: samples; a row for each label, in it a column for each prediction.
        samples: number of each label, with those whose prediction is no class.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    samples: tuple[int, ...]

    def accuracy_by_class(self) -> dict[str, float | None]:
        """Share of correct samples of each class, by its name; None for a class without samples."""
        return {
            name: row[i] / count if count else None
            for i, (name, row, count) in enumerate(zip(self.classes, self.counts, self.samples, strict=True))
        }


class Predictions:
    """Collects labels and predictions of the batches of a data set.

    Args:
        classes: a name for each label. Without any, or with more than 100, nothing is counted.
    """

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes) if len(classes) <= MOST_CLASSES else ()
        self._pairs: list[Tensor] = []  # [2, n] on their device: reading them earlier would wait

    def add(self, prediction: Tensor, target: Tensor) -> None:
        """One batch: predicted classes and labels, ``[B]`` or ``[B, *]`` int64, both of one shape."""
        if self.classes and not prediction.is_floating_point() and prediction.shape == target.shape:
            self._pairs.append(torch.stack((target.detach().flatten(), prediction.detach().flatten())))

    def confusion(self, team: Team) -> Confusion | None:
        """The matrix of all processes' samples at rank 0; None without classes or samples, and at other ranks.

        All processes of a team must call this together.
        """
        size = len(self.classes)
        if not size:
            return None
        counts = torch.zeros(size * (size + 1), dtype=torch.int64)
        if self._pairs:
            target, prediction = torch.cat(self._pairs, 1).cpu()
            # One more column, for predictions of no class.
            prediction = torch.where((prediction >= 0) & (prediction < size), prediction, size)
            valid = (target >= 0) & (target < size)
            counts += (target * (size + 1) + prediction)[valid].bincount(minlength=len(counts))
        table = team.reduce_sum(counts).view(size, size + 1)
        if not team.leads or not table.any():
            return None
        rows, samples = table[:, :size].tolist(), table.sum(1).tolist()
        return Confusion(self.classes, tuple(map(tuple, rows)), tuple(samples))
