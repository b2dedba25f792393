"""Looks on while a job runs, in whatever process that is, and stops one that is not worth its time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snnrun.job.search.options import pruner_of
from snnrun.report.series import finite
from snnrun.training.stop import Pruned


@dataclass
class Judge:
    """Tells the study each epoch's figure, and asks its pruner.

    Args:
        storage, study, trial: where the study is, and which trial of it this is.
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

    def __call__(self, record: Mapping[str, Any]) -> None:
        """One record of the run.

        Raises:
            Pruned: if the run shall end.
        """
        value = finite(at(record, self.figure))
        if record["kind"] != "epoch" or value != value:
            return
        import optuna

        if self._trial is None:
            pruner = pruner_of(self.pruner, self.options)
            study = optuna.load_study(study_name=self.study, storage=self.storage, pruner=pruner)
            self._trial = optuna.trial.Trial(study, self.trial)
        with warnings.catch_warnings():  # a resumed job may tell an epoch twice
            warnings.simplefilter("ignore")
            self._trial.report(value, record["epoch"])
        if self._trial.should_prune():
            raise Pruned(f"pruned after epoch {record['epoch']}: {self.figure} is {value:.4g}, and others do better")


def at(record: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted name; None if there is none."""
    node: Any = record
    for piece in path.split("."):
        node = node.get(piece) if isinstance(node, Mapping) else None
    return node
