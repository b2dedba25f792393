"""The private names of Optuna that this package uses, and the reasons.

A trial has a public number in its study and another one in the storage. ``optuna.trial.Trial(study, number)``, which
gives a trial of another process, needs the latter. Only the storage accepts an attribute of a sampler, or of a
finished trial. Optuna has no public name for either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


def number_in_storage(trial: Trial | FrozenTrial) -> int:
    """The number of the trial in the storage."""
    return trial._trial_id


def mark(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Set an attribute of a trial that is not running; a public ``Trial`` would draw its values again."""
    study._storage.set_trial_user_attr(number_in_storage(trial), key, value)


def note(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Set an attribute of a trial for a sampler."""
    study._storage.set_trial_system_attr(number_in_storage(trial), key, value)
