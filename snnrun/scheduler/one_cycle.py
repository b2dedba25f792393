"""The one-cycle policy, by torch's ``OneCycleLR``."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.scheduler.base import StepScheduler


class OneCycle(OneCycleLR, StepScheduler):
    """One cycle: up to the optimizer's learning rate, then down to almost nothing.

    From ``lr / div_factor`` the rate rises to lr, the learning rate of the optimizer or of each of its groups, during
    the share ``pct_start`` of the N steps. Then it falls to ``lr / div_factor / final_div_factor`` at the last step.

    Args:
        optimizer: whose learning rates are set.
        total_steps: N, the number of steps; null: of the whole training.
        pct_start: the share of the steps in which the rate rises, above 0 and below 1. Default 0.3.
        anneal_strategy: ``cos`` (default) or ``linear``.
        div_factor: lr divided by the first rate, above 0. Default 25.
        final_div_factor: the first rate divided by the last one, above 0. Default 1e4.
        cycle_momentum: also move the momentum of the optimizer (of Adam: the first beta), from ``max_momentum`` to
            ``base_momentum`` and back, in place of the optimizer's own value. Default false.
        base_momentum, max_momentum: 0 to 1. Default 0.85 and 0.95.

    Raises:
        ValueError: for an argument out of range, for a rise of one step or less, and for ``cycle_momentum`` with an
            optimizer without momentum.

    Source: Smith and Topin 2019, "Super-convergence"; torch's ``OneCycleLR``, with ``cycle_momentum=True`` there.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        *,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        cycle_momentum: bool = False,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
    ) -> None:
        steps = check.integer("total_steps", total_steps, low=1)
        share = check.number("pct_start", pct_start, above=0, below=1)
        if share * steps <= 1:
            expected = f"a share of more than one of the {steps} steps of the schedule"
            raise ArgumentError(
                "pct_start", expected, pct_start, advice="train longer, or let the rate rise for longer"
            )
        super().__init__(
            optimizer,
            max_lr=[float(group["lr"]) for group in optimizer.param_groups],
            total_steps=steps,
            pct_start=share,
            anneal_strategy=check.choice("anneal_strategy", anneal_strategy, ("cos", "linear")),  # type: ignore[arg-type]
            div_factor=check.number("div_factor", div_factor, above=0),
            final_div_factor=check.number("final_div_factor", final_div_factor, above=0),
            cycle_momentum=check.flag("cycle_momentum", cycle_momentum),
            base_momentum=check.number("base_momentum", base_momentum, low=0, high=1),
            max_momentum=check.number("max_momentum", max_momentum, low=0, high=1),
        )

    def advance(self) -> None:
        if self.last_epoch + 1 < self.total_steps:  # torch's schedule has no step beyond its last
            super().advance()
