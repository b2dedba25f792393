"""Engines run the jobs of a sweep; the engine of the default launcher runs them in this process."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from snnrun.errors import SnnrunError
from snnrun.sweep.job import JobTask, train
from snnrun.sweep.outcome import Outcome, outcome_of
from snnrun.system import say
from snnrun.training.stop import Pruned

#: Called with each outcome; returns True if the sweep goes on.
OnOutcome = Callable[[Outcome], bool]


class Engine(ABC):
    """Runs jobs. ``alone``: each job has its own process, so that its lines are not on the terminal."""

    alone = True

    @abstractmethod
    def run(self, tasks: Sequence[JobTask], on_outcome: OnOutcome) -> None:
        """Run all jobs, or until ``on_outcome`` returns False; then, and on a signal, running jobs save and leave.

        Raises:
            Interrupted: on a signal.
        """


class Serial(Engine):
    """One after the other, in this process."""

    alone = False

    def run(self, tasks: Sequence[JobTask], on_outcome: OnOutcome) -> None:
        for task in tasks:
            say.say(f"snnrun: {task.name}", prose=True)
            if not on_outcome(self._outcome(task)):
                return

    def _outcome(self, task: JobTask) -> Outcome:
        try:
            result = train(task)
        except Pruned as pruning:
            say.say(f"snnrun: {pruning}")
            return outcome_of(task, None)
        except Exception as error:
            # Reported here, since the other jobs of the sweep go on.
            if task.debug:
                traceback.print_exc()
            message = f"snnrun: {error}" if isinstance(error, SnnrunError) else say.describe(error)[0]
            say.say(message, error=True)
            status = outcome_of(task, None).status
            return Outcome(task, "interrupted" if status == "interrupted" else "failed", message)
        return Outcome(task, "finished", "", result)
