"""Watches a job while it runs, in any process, and stops an unpromising one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from snnrun.job.search.options import pruner_of
from snnrun.system.safe_read import at, number
from snnrun.training.records import EpochRecord, LogRecord
from snnrun.training.stop import Pruned


@dataclass
class Judge:
    """Reports each epoch's value to the study, and consults its pruner.

    Args:
        storage, study, trial: the study, and the number of the trial in it.
        figure: field of an epoch's record; dots lead into it.
        pruner, options: by name.
    """

    storage: str
    study: str
    trial: int
    figure: str
    pruner: str
    options: dict[str, Any]
    _trial: Any = field(default=None, init=False)

    def __call__(self, record: LogRecord) -> None:
        """Handle one record of the run.

        Raises:
            Pruned: if the run shall end.
        """
        if not isinstance(record, EpochRecord):
            return
        value = number(at(record.to_json(), self.figure))
        if value is None:
            return
        import optuna

        if self._trial is None:
            pruner = pruner_of(self.pruner, self.options)
            study = optuna.load_study(study_name=self.study, storage=self.storage, pruner=pruner)
            self._trial = optuna.trial.Trial(study, self.trial)
        with warnings.catch_warnings():  # a resumed job may report an epoch twice
            warnings.simplefilter("ignore")
            self._trial.report(value, record.epoch)
        if self._trial.should_prune():
            raise Pruned(f"pruned after epoch {record.epoch}: {self.figure} is {value:.4g}, and others do better")
