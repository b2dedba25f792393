"""A linear warm-up, and what follows: a constant, a line or half a cosine."""

from __future__ import annotations

import math

from torch import Tensor
from torch.optim import Optimizer

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.scheduler.base import StepScheduler


class WarmupConstant(StepScheduler):
    """Linear warm-up, then the optimizer's learning rate.

    ::

        lr[n] = lr (s + (1 - s) n / w)        n < w, the warm-up
        lr[n] = lr                            n >= w

    n counts the steps of the optimizer from 0 on; lr is the learning rate of the optimizer, or of each of its groups.

    Args:
        optimizer: whose learning rates are set.
        total_steps: N, the number of steps; null: of the whole training.
        warmup_steps: w >= 0, at most N. Default 20.
        start_factor: s, 0 to 1: the share of lr at the first step of the warm-up. Default 0.1.

    Raises:
        ValueError: for an argument out of range, and for a warm-up of more than N steps.

    Source: Goyal et al. 2017, "Accurate, large minibatch SGD" (gradual warm-up); torch's ``LinearLR``.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, *, warmup_steps: int = 20, start_factor: float = 0.1
    ) -> None:
        self.total_steps = check.integer("total_steps", total_steps, low=1)
        self.warmup_steps = check.integer("warmup_steps", warmup_steps, low=0)
        self.start_factor = check.number("start_factor", start_factor, low=0, high=1)
        if self.warmup_steps > self.total_steps:
            expected = f"at most {self.total_steps}, the number of steps of the schedule"
            raise ArgumentError(
                "warmup_steps", expected, warmup_steps, advice="train longer, or warm up for fewer steps"
            )
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each group of the optimizer."""
        # torch's chain of LinearLR and another scheduler multiplies the last rate at each step, so rounding adds up.
        n, w = self.last_epoch, self.warmup_steps
        if n < w:
            factor = self.start_factor + (1 - self.start_factor) * n / w
        else:
            factor = self.decay(min(1.0, (n - w) / (self.total_steps - w)) if self.total_steps > w else 1.0)
        return [float(lr) * factor for lr in self.base_lrs]

    def decay(self, progress: float) -> float:
        """The factor of the learning rate after the share ``progress``, 0 to 1, of the steps after the warm-up."""
        return 1.0


class WarmupLinear(WarmupConstant):
    """Linear warm-up, then linear decay.

    ::

        lr[n] = lr (s + (1 - s) n / w)                        n < w, the warm-up
        lr[n] = lr (1 - (1 - e) (n - w) / (N - w))            n >= w

    n counts the steps of the optimizer from 0 on; the rate ``e lr`` is the one after the last step.

    Args:
        optimizer, total_steps, warmup_steps, start_factor: see :class:`WarmupConstant`.
        end_factor: e, 0 to 1: the share of lr at the end. Default 0.

    Raises:
        ValueError: for an argument out of range, and for a warm-up of more than N steps.

    Source: Devlin et al. 2019, "BERT" (linear warm-up and decay).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        *,
        warmup_steps: int = 20,
        start_factor: float = 0.1,
        end_factor: float = 0.0,
    ) -> None:
        self.end_factor = check.number("end_factor", end_factor, low=0, high=1)
        super().__init__(optimizer, total_steps, warmup_steps=warmup_steps, start_factor=start_factor)

    def decay(self, progress: float) -> float:
        return 1 - (1 - self.end_factor) * progress


class WarmupCosine(WarmupLinear):
    """Linear warm-up, then half a cosine.

    ::

        lr[n] = lr (s + (1 - s) n / w)                                          n < w, the warm-up
        lr[n] = lr (e + (1 - e) (1 + cos(π (n - w) / (N - w))) / 2)             n >= w

    n counts the steps of the optimizer from 0 on; the rate ``e lr`` is the one after the last step.

    Args:
        optimizer, total_steps, warmup_steps, start_factor: see :class:`WarmupConstant`.
        end_factor: e, 0 to 1: the share of lr at the end. Default 0.

    Raises:
        ValueError: for an argument out of range, and for a warm-up of more than N steps.

    Source: Loshchilov and Hutter 2017, "SGDR" (the cosine, without restarts); Goyal et al. 2017 (the warm-up).
    """

    def decay(self, progress: float) -> float:
        return self.end_factor + (1 - self.end_factor) * (1 + math.cos(math.pi * progress)) / 2


class LinearDecay(WarmupLinear):
    """Linear decay from the first step on.

    ::

        lr[n] = lr (1 - (1 - e) n / N)

    n counts the steps of the optimizer from 0 on; the rate ``e lr`` is the one after the last step.

    Args:
        optimizer, total_steps: see :class:`WarmupConstant`.
        end_factor: e, 0 to 1: the share of lr at the end. Default 0.

    Raises:
        ValueError: for an argument out of range.

    Source: torch's ``LinearLR`` for each step.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, *, end_factor: float = 0.0) -> None:
        super().__init__(optimizer, total_steps, warmup_steps=0, end_factor=end_factor)
