"""Batches whose samples end at different steps: what counts of them in losses, predictions and activity.

Samples of equal length are cut to it and read together, so that no loss needs a mask, and the steps after the end of a
sample change no bit of its loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from snnrun.system.device import upload


class Record(NamedTuple):
    """The read-out of samples of one length, and their targets."""

    spikes: Tensor  # [T, B, C]
    membrane: Tensor  # [T, B, C]
    target: Tensor | None  # [B, ...]


def records_of(spikes: Tensor, membrane: Tensor, target: Tensor | None, lengths: Tensor) -> Iterator[Record]:
    """The records ``[length, n, C]`` of the samples of each length, the shortest first.

    Args:
        spikes, membrane: ``[T, B, C]``.
        target: ``[B, ...]`` or None.
        lengths: ``[B]`` int64, on the CPU.
    """
    for length in lengths.unique().tolist():
        samples = upload((lengths == length).nonzero().flatten(), spikes.device)
        yield Record(
            spikes[:length].index_select(1, samples),
            membrane[:length].index_select(1, samples),
            None if target is None else target.index_select(0, samples),
        )


def steps_within(lengths: Tensor, steps: int, device: torch.device) -> Tensor:
    """True at the steps of each sample before its end, ``[T, B]``."""
    return torch.arange(steps, device=device)[:, None] < upload(lengths, device)


def join_steps(train: Tensor, lengths: Tensor) -> Tensor:
    """All steps that count, as those of a single sample: ``[Σ lengths, 1, *N]`` for ``[T, B, *N]``."""
    return train[steps_within(lengths, len(train), train.device)][:, None]
