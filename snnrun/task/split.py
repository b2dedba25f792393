"""Stratified splits, in which every part has the classes in the proportions of the whole; and batches of indices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def stratified_split(labels: Tensor, shares: Sequence[float], seed: int) -> list[Tensor]:
    """Split the samples ``0 … N-1`` class by class.

    Args:
        labels: ``[N]`` class labels, on the CPU.
        shares: the share of each part except the last, which gets the rest. From a class with n samples a part gets
            ``round(share * n)``, but at least one; a share of 0 gets none.
        seed: the split depends only on it and on the labels.

    Returns:
        ``len(shares) + 1`` tensors of indices (int64), disjoint, ascending, and together all N.

    Raises:
        ValueError: a class is too small to give every part a sample.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in range(len(shares) + 1)]
    for label in torch.unique(labels).tolist():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        sizes = [max(1, round(share * len(members))) if share else 0 for share in shares]
        rest = len(members) - sum(sizes)
        if rest < 1:
            raise ValueError(f"class {label} has {len(members)} samples, too few for {len(parts)} parts")
        for part, indices in zip(parts, members.split([*sizes, rest]), strict=True):
            part.append(indices)
    return [torch.cat(part).sort().values for part in parts]


def batches_of(indices: Tensor, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    """The samples ``indices`` ``[n]``, batch by batch: shuffled by a generator, or without one in order."""
    if generator is not None:
        indices = indices[torch.randperm(len(indices), generator=generator)]
    # `split` would make one empty batch.
    yield from torch.split(indices, batch_size) if len(indices) else ()
