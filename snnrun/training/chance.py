"""What guessing would score: the share of the most frequent class among the targets that were seen."""

from __future__ import annotations

import torch
from torch import Tensor

from snnrun.task import Batch


class Chance:
    """Collects the class labels of the batches of a part.

    Attributes:
        samples: that were seen.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._labels: list[Tensor] = []  # on their device, until asked for

    def add(self, batch: Batch) -> None:
        """One batch; its target is ``[B]`` or ``[B, *]`` labels, values, or None."""
        self.samples += batch.x.shape[1]
        if batch.target is not None and not batch.target.is_floating_point():
            self._labels.append(batch.target.flatten())

    def share(self) -> float | None:
        """Share of the most frequent class, 0 to 1; None where there are no labels."""
        if not self._labels:
            return None
        counts = torch.cat(self._labels).cpu().bincount()
        return int(counts.max()) / int(counts.sum())
