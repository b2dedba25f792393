"""The private names of Optuna that this package uses, and why.

A trial has a number in its study, which is public, and another in the storage. Only the latter leads to a trial of
another process: ``optuna.trial.Trial(study, number)`` is public. Only a storage takes an attribute of a sampler, or of
a trial that is over. Optuna has no public name for either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


def number_in_storage(trial: Trial | FrozenTrial) -> int:
    """The number by which the storage knows the trial."""
    return trial._trial_id


def mark(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Set an attribute of a trial that nobody runs; a public ``Trial`` would draw its values once more."""
    study._storage.set_trial_user_attr(number_in_storage(trial), key, value)


def note(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Keep what a sampler wants to know of a trial later."""
    study._storage.set_trial_system_attr(number_in_storage(trial), key, value)
