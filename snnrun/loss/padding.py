"""Batches whose samples end at different steps: what counts of them in losses, predictions and activity.

Each sample is cut to its end and read alone, so that no loss needs a mask, and neither the steps after the end of a
sample nor the other samples change a bit of its loss: torch's sums are rounded by the shape of what is summed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from snnrun.task.base import steps_within


class Record(NamedTuple):
    """The read-out of a batch, or of one sample up to its end, and the targets."""

    spikes: Tensor  # [T, B, C]
    membrane: Tensor  # [T, B, C]
    target: Tensor | None  # [B, ...]

    def samples(self, lengths: Tensor, *, target_has_steps: bool = False) -> Iterator[Record]:
        """Each sample of the batch, ``[length, 1, C]``; ``lengths`` is ``[B]`` int64, on the CPU."""
        # Unbound, since the gradient of a slice is as large as the whole.
        trains = zip(self.spikes.unbind(1), self.membrane.unbind(1), lengths.tolist(), strict=True)
        for i, (spikes, membrane, length) in enumerate(trains):
            target = None if self.target is None else self.target[i : i + 1]
            if target is not None and target_has_steps:
                target = target[:, :length]
            yield Record(spikes[:length, None], membrane[:length, None], target)


def join_steps(train: Tensor, lengths: Tensor) -> Tensor:
    """All steps that count, as if they were one sample: ``[Σ lengths, 1, *N]`` for ``[T, B, *N]``."""
    return train[steps_within(lengths, len(train), train.device)][:, None]
