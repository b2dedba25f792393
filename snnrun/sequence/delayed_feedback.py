"""A layer's output that returns as its input after several steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from snnrun.neuron.recurrent import feed_back


class DelayedFeedback(NamedTuple):
    """The feedback of a layer whose spikes return after delays.

    ::

        R_j[t] = Σ_i v_ji Σ_l tap[l] s_i[t-1-l]          l = 0 … D; s is 0 before the first step

    Attributes:
        weight: v, ``[n, n]``.
        taps: of each synapse, ``[n, n, D + 1]``, or of each sending neuron, ``[n, D + 1]``.
    """

    weight: Tensor
    taps: Tensor

    def kernels(self) -> Tensor:
        """The factors of the recent outputs, by lag and sender: ``[D + 1, n, n]``, or for axons ``[D + 1, n]``."""
        if self.taps.dim() == 2:
            return self.taps.T
        return (self.weight[..., None] * self.taps).permute(2, 1, 0)

    def current(self, outputs: Sequence[Tensor], kernels: Tensor) -> Tensor:
        """The feedback at the next step, like one of the ``outputs`` ``[B, *N]`` of all steps so far, at least one."""
        recent = [each.flatten(1) for each in outputs[: -len(kernels) - 1 : -1]]  # the last one first
        kernels = kernels[: len(recent)]
        if self.taps.dim() == 2:
            arriving = (torch.stack(recent) * kernels[:, None]).sum(0)
            return feed_back(arriving.view_as(outputs[-1]), self.weight, None)
        # Under autocast a product is bfloat16; the membrane integrates in the precision of the input.
        product = torch.cat(recent, 1) @ kernels.flatten(0, 1)
        return product.to(recent[0].dtype).view_as(outputs[-1])
