"""CMA-ES as a sampler without pickle.

Optuna's own CmaEsSampler stores its optimizer in the study as a pickle, and unpickles it to go on. A study may come
from a stranger, and a pickle may run any code. Here a study holds only numbers: each trial has the number of its
generation, and the optimizer is rebuilt from the trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import TrialState

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.job.search.optuna_private import note

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

#: The attribute of a trial with the number of its generation.
GENERATION = "snnrun:generation"


class CmaEs(BaseSampler):
    """Covariance matrix adaptation: draws each generation from a normal distribution adapted to the previous ones.

    Numbers with an interval are drawn this way, on a scale of 0 to 1; other values are drawn at random.

    Args:
        seed: of the draws; null: a different one each time.
        x0: centre of the first generation, by the names of the parameters. Default the middle of each interval.
        sigma0: standard deviation of the first generation, in (0, 1]. Default 1/6.
        n_startup_trials: trials that are drawn at random before the first generation. Default 1.
        popsize: trials in a generation, at least 2. Default ``4 + 3 ln(number of parameters)``.
        use_separable_cma: adapt variances only, which suits many parameters. Default false.
        lr_adapt: adapt the learning rate, which suits noisy objectives. Default false.

    Raises:
        ValueError: for an argument out of range.

    Source: Hansen and Ostermeier 2001, "Completely derandomized self-adaptation in evolution strategies"; the package
    cmaes.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        x0: Mapping[str, float] | None = None,
        sigma0: float | None = None,
        n_startup_trials: int = 1,
        popsize: int | None = None,
        use_separable_cma: bool = False,
        lr_adapt: bool = False,
    ) -> None:
        self._x0 = dict(x0 or {})
        self._sigma0 = 1 / 6 if sigma0 is None else check.number("sigma0", sigma0, above=0, high=1)
        self._startup = check.integer("n_startup_trials", n_startup_trials, low=0)
        self._popsize = None if popsize is None else check.integer("popsize", popsize, low=2)
        self._separable = check.flag("use_separable_cma", use_separable_cma)
        self._lr_adapt = check.flag("lr_adapt", lr_adapt)
        if self._separable and self._lr_adapt:
            raise ArgumentError("lr_adapt", "false with use_separable_cma", True)
        self._random = RandomSampler(seed)
        self._draws = np.random.default_rng(seed)
        self._space = IntersectionSearchSpace()

    def reseed_rng(self) -> None:
        """Use other draws, for another process."""
        self._random.reseed_rng()
        self._draws = np.random.default_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The numbers that all trials so far have in common, by name."""
        numbers = self._space.calculate(study)
        return {
            name: each
            for name, each in numbers.items()
            if isinstance(each, (FloatDistribution, IntDistribution)) and not each.single()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A value for each number in ``search_space``; empty while there are too few trials."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not search_space or len(done) < self._startup:
            return {}
        optimizer = self._optimizer(search_space)
        generation = 0
        while len(members := _members(done, generation, search_space)) >= optimizer.population_size:
            sign = 1 if study.direction is StudyDirection.MINIMIZE else -1
            optimizer.tell(
                [
                    (_places(each.params, search_space), sign * float(each.value or 0))
                    for each in members[: optimizer.population_size]
                ]
            )
            generation += 1
        note(study, trial, GENERATION, generation)
        place = optimizer.ask()
        return {name: _value(x, search_space[name]) for name, x in zip(search_space, place, strict=True)}

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """A random value for any other parameter."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _optimizer(self, space: Mapping[str, BaseDistribution]) -> Any:
        import cmaes

        middle = {name: _value(0.5, each) for name, each in space.items()} | self._x0
        options: dict[str, Any] = {} if self._separable else {"lr_adapt": self._lr_adapt}
        return (cmaes.SepCMA if self._separable and len(space) > 1 else cmaes.CMA)(
            mean=_places(middle, space),
            sigma=self._sigma0,
            bounds=np.array([[0.0, 1.0]] * len(space)),
            n_max_resampling=10 * len(space),
            seed=int(self._draws.integers(2**31)),
            population_size=self._popsize,
            **options,
        )


def _members(done: Sequence[FrozenTrial], generation: int, space: Mapping[str, Any]) -> list[FrozenTrial]:
    """The finished trials of a generation in order."""
    return [
        trial
        for trial in done
        if trial.system_attrs.get(GENERATION) == generation
        and space.keys() <= trial.params.keys()
        and trial.value is not None
        and math.isfinite(trial.value)
    ]


def _places(values: Mapping[str, Any], space: Mapping[str, Any]) -> Any:
    """The positions of the values in their intervals, from 0 to 1."""
    places = []
    for name, each in space.items():
        low, high, value = (math.log(x) if each.log else x for x in (each.low, each.high, values[name]))
        places.append(min(1.0, max(0.0, (value - low) / (high - low))))
    return np.array(places)


def _value(place: float, distribution: Any) -> Any:
    """The value at a position from 0 to 1 of an interval, rounded to its steps."""
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    else:
        value = low + place * (high - low)
    if isinstance(distribution, IntDistribution):
        step = 1 if distribution.log else distribution.step
        return int(min(high, max(low, low + step * round((value - low) / step))))
    if distribution.step is not None:
        value = low + distribution.step * round((value - low) / distribution.step)
    return float(min(high, max(low, value)))
