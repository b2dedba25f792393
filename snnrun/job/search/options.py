"""The settings of a search with their checks; samplers and pruners by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snnrun.config.settings import Check, check_keys, optional, whole
from snnrun.errors import ArgumentError, Description, Fault

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "grid": "GridSampler",
    "cmaes": "CmaEs",  # ours: Optuna's stores a pickle in the study
    "gp": "GPSampler",
    "qmc": "QMCSampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "brute_force": "BruteForceSampler",
}
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "threshold": "ThresholdPruner",
    "patient": "PatientPruner",
}
DIRECTIONS = ("maximize", "minimize")
RESULTS = ("parameters", "seconds", "samples_per_second")  # of result.json; a search may not use test results
LACKING = "expected the package optuna, which is not installed: pip install 'snnrun[optuna]'"


@dataclass(frozen=True)
class Options:
    """The keys of ``conf/hydra/sweeper/optuna.yaml``, which explains them."""

    n_trials: int
    objective: tuple[str, ...] | None
    direction: tuple[str, ...] | None
    sampler: str
    sampler_options: dict[str, Any]
    seed: int | None
    pruner: str
    pruner_options: dict[str, Any]
    seeds: tuple[int, ...] | None
    storage: str | None
    study_name: str


def is_installed() -> bool:
    """True if Optuna can be imported."""
    return importlib.util.find_spec("optuna") is not None


def read(config: Mapping[str, Any]) -> tuple[Options | None, list[Fault]]:
    """Returns the options, or None and their faults."""
    values, faults = check_keys(config, _CHECKS)
    there_are = f"there is no such key; there are {', '.join(_CHECKS)}"
    faults += [Fault(key, there_are) for key in config if key not in _CHECKS]
    if faults:
        return None, faults
    options = Options(**values)
    objectives, directions = options.objective, options.direction
    if options.sampler == "cmaes" and len(objectives or ()) > 1:
        got = Description(f"cmaes with {len(objectives or ())}")
        faults.append(Fault.of(ArgumentError("sampler", "one for several objectives, such as nsga2", got)))
    if directions and objectives and len(directions) != len(objectives):
        expected = f"one for each of {len(objectives)} objectives"
        faults.append(Fault.of(ArgumentError("direction", expected, len(directions))))
    for name in objectives or ():
        if "test" in name:
            got = Description(f"{name}: a search would fit itself to it")
            faults.append(Fault.of(ArgumentError("objective", "no figure of the test set", got)))
        elif not directions and direction_of(name) is None:
            faults.append(Fault("direction", f"expected maximize or minimize for {name}, whose name does not tell"))
    if options.pruner != "none" and (objectives is not None and (len(objectives) > 1 or objectives[0] in RESULTS)):
        faults.append(Fault("pruner", "expected none where there are several objectives, or one that no epoch has"))
    return (None, faults) if faults else (options, [])


def direction_of(name: str) -> str | None:
    """The better direction, if the name of the value implies one."""
    last = name.rpartition(".")[2]
    if last.endswith(("accuracy", "r2")) or last == "samples_per_second":
        return "maximize"
    return "minimize" if last.endswith("loss") or last in ("parameters", "seconds") else None


def sampler_of(options: Options, space: Mapping[str, BaseDistribution], past: int = 0) -> BaseSampler:
    """The sampler. ``past``: number of earlier trials, whose draws must not be repeated.

    Raises:
        ValueError: with the key and the fault.
    """
    import optuna

    arguments = dict(options.sampler_options)
    if options.sampler == "grid":
        arguments["search_space"] = {key: _values(key, each) for key, each in space.items()}
    if options.sampler == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise ValueError("hydra.sweeper.sampler: cmaes needs the package cmaes: pip install 'snnrun[optuna]'")
    seed = None if options.seed is None else options.seed + past
    if options.sampler == "cmaes":
        from snnrun.job.search import cma_es

        return _build(cma_es, SAMPLERS["cmaes"], {"seed": seed, **arguments}, "sampler")
    return _build(optuna.samplers, SAMPLERS[options.sampler], {"seed": seed, **arguments}, "sampler")


def pruner_of(name: str, options: Mapping[str, Any]) -> BasePruner:
    """The pruner.

    Raises:
        ValueError: with the key and the fault.
    """
    import optuna

    options = {"percentile": 25.0, **options} if name == "percentile" else dict(options)
    if name == "patient":
        options = {"patience": 3, "wrapped_pruner": None, **options}
    return _build(optuna.pruners, PRUNERS[name], options, "pruner")


def _build(home: Any, name: str, options: Mapping[str, Any], key: str) -> Any:
    try:
        return getattr(home, name)(**options)
    except (TypeError, ValueError, ImportError) as error:
        owner = "Optuna" if home.__name__.startswith("optuna") else "snnrun"
        wrong = f"expected options that {owner}'s {name} takes: {error}"
        raise ValueError(
            f"hydra.sweeper.{key}_options: {wrong}" if options else f"hydra.sweeper.{key}: {error}"
        ) from None


def _values(key: str, distribution: BaseDistribution) -> list[Any]:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    raise ArgumentError(
        "hydra.sweeper.sampler",
        f"another one, since a grid needs a list of values, and {key} has an interval",
        "grid",
        advice="list its values",
    )


def _names(name: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(each, str) and each for each in names):
        raise ArgumentError(name, "a name, or a list of names", value)
    return tuple(names)


def _directions(name: str, value: Any) -> tuple[str, ...]:
    directions = _names(name, value)
    if not set(directions) <= set(DIRECTIONS):
        raise ArgumentError(name, f"{' or '.join(DIRECTIONS)}, or a list of them", value)
    return directions


def _seeds(name: str, value: Any) -> tuple[int, ...]:
    good = isinstance(value, list) and value and all(isinstance(x, int) and not isinstance(x, bool) for x in value)
    if not good or len(set(value)) < len(value) or min(value) < 0:
        raise ArgumentError(name, "a list of different whole numbers such as [0,1,2]", value)
    return tuple(value)


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentError(name, "a mapping such as {n_startup_trials: 5}", value)
    return {str(key): item for key, item in value.items()}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ArgumentError(name, "a text", value)
    return value


def _one_of(names: Mapping[str, str]) -> Check:
    def check(name: str, value: Any) -> str:
        if value not in names:
            raise ArgumentError(name, ", ".join(names), value)
        return str(value)

    return check


_CHECKS: Mapping[str, Check] = {
    "n_trials": whole(1),
    "objective": optional(_names),
    "direction": optional(_directions),
    "sampler": _one_of(SAMPLERS),
    "sampler_options": _mapping,
    "seed": optional(whole(0, 2**31)),
    "pruner": _one_of(PRUNERS),
    "pruner_options": _mapping,
    "seeds": optional(_seeds),
    "storage": optional(_text),
    "study_name": _text,
}
