"""What runs the jobs of a sweep; and the engine of the default launcher, which runs them in this process."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from snnrun.errors import SnnrunError
from snnrun.sweep.job import Task, train
from snnrun.sweep.outcome import Outcome, judged
from snnrun.system import say
from snnrun.training.stop import Pruned

#: Hears of each job that ended; says whether the sweep goes on.
Heard = Callable[[Outcome], bool]


class Engine(ABC):
    """Runs jobs.

    ``alone``: each job has a process of its own, so that its lines are not on the terminal.
    """

    alone = True

    @abstractmethod
    def run(self, tasks: Sequence[Task], heard: Heard) -> None:
        """Run all of them, or until ``heard`` says no; then, and on a signal, those that run save and leave.

        Raises:
            Interrupted: on a signal.
        """


class Serial(Engine):
    """One after the other, in this process."""

    alone = False

    def run(self, tasks: Sequence[Task], heard: Heard) -> None:
        for task in tasks:
            say.say(f"snnrun: {task.name}", prose=True)
            if not heard(self._ended(task)):
                return

    def _ended(self, task: Task) -> Outcome:
        try:
            result = train(task)
        except Pruned as word:
            say.say(f"snnrun: {word}")
            return judged(task, None)
        except Exception as error:
            # Told here, for the other jobs of the sweep go on.
            if task.debug:
                traceback.print_exc()
            message = f"snnrun: {error}" if isinstance(error, SnnrunError) else say.unforeseen(error)[0]
            say.say(message, error=True)
            status = judged(task, None).status
            return Outcome(task, "interrupted" if status == "interrupted" else "failed", message)
        return Outcome(task, "finished", "", result)
