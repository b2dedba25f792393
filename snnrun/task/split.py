"""A stratified split: every part holds the classes in the proportions of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def stratified(labels: Tensor, shares: Sequence[float], seed: int) -> list[Tensor]:
    """Part the samples ``0 … N-1`` class by class.

    Args:
        labels: ``[N]`` class labels, on the CPU.
        shares: the share of each part but the last, which takes the rest. Of a class with n samples a part gets
            ``round(share * n)``, but at least one; a share of 0 gets none.
        seed: the split depends on it and on the labels alone.

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
