"""The contract of a schedule per step."""

from __future__ import annotations

from torch.optim.lr_scheduler import LRScheduler


class StepScheduler(LRScheduler):
    """A schedule over the steps of a training: the learning rate changes with each step of the optimizer.

    The run creates it with the optimizer and ``total_steps``, and calls ``advance`` before each step of the optimizer.
    So between two steps the optimizer has the learning rate of the last step, which is the one on record.

    A subclass passes the optimizer on and defines ``get_lr``. A learning rate must follow from ``last_epoch``, torch's
    name for the number of steps before the current one, and not from the previous rate, so that it does not depend on
    where a run was resumed. Beyond ``total_steps`` it must stay as it is.

    Attributes:
        total_steps: the length of the schedule.
        started: True from the first ``advance`` on.
    """

    total_steps: int
    started = False

    def advance(self) -> None:
        """Set the learning rate of the next step."""
        if self.started:
            self.step()
        self.started = True
