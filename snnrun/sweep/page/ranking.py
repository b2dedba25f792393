"""Configurations of a sweep: its jobs but for the seed, in order of what the validation part says of them.

The test part takes no part in this: a configuration that was chosen by its test figure has none any more.
"""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from snnrun.run.command_line import command_of
from snnrun.sweep.page.gather import ENDED_EARLY, Job, Sweep
from snnrun.sweep.page.statistics import Difference, Estimate, difference, estimate
from snnrun.system.format import figure, percent, plural

SEED = "seed"


class Measure(NamedTuple):
    """What configurations are compared by."""

    name: str  # accuracy, r2 or loss
    title: str
    percent: bool
    higher: bool  # is better

    def figure(self, value: float | None) -> str:
        """A value for people: three digits and the sign of per cent, or four figures."""
        return percent(value, 2) if self.percent else figure(value)

    def spread(self, value: float | None) -> str:
        """The same of a standard deviation, whose unit stands elsewhere."""
        if value is None:
            return ""
        return f"{100 * value:.2f}" if self.percent else f"{value:.2g}"


ACCURACY = Measure("accuracy", "accuracy", True, True)
R2 = Measure("r2", "R²", False, True)
LOSS = Measure("loss", "loss", False, False)


@dataclass(frozen=True)
class Configuration:
    """Jobs that differ in the seed alone."""

    values: Mapping[str, str]  # of the swept keys but the seed
    jobs: tuple[Job, ...]
    validation: Estimate | None  # of the finished ones
    test: Estimate | None
    spikes: float | None  # means over the finished ones
    parameters: float | None
    seconds: float | None
    by_seed: Mapping[Hashable, float]  # the validation measure

    @property
    def counted(self) -> tuple[Job, ...]:
        return tuple(job for job in self.jobs if job.finished)


@dataclass(frozen=True)
class Ranking:
    """A sweep's configurations, the best first; those without a figure last."""

    sweep: Sweep
    keys: tuple[str, ...]  # swept ones, without the seed
    seeds: bool  # whether the seed is swept
    measure: Measure
    configurations: tuple[Configuration, ...]
    best: int | None  # index of the best: the first that has seeds enough
    behind: tuple[Difference | None, ...]  # by how much each is behind the best: its figure less the best's
    cautions: tuple[str, ...]

    @property
    def chosen(self) -> Configuration | None:
        return None if self.best is None else self.configurations[self.best]

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of the sweep; where it left no list of its jobs, that of a job."""
        best = self.chosen
        return self.sweep.command or (best.jobs[0].command if best is not None else ())

    @property
    def rivals(self) -> list[int]:
        """Those that cannot be told apart from the best."""
        return [i for i, d in enumerate(self.behind) if d is not None and i != self.best and not d.told_apart]


def rank(sweep: Sweep) -> Ranking:
    """Group the jobs, choose the measure, order the groups, compare each with the best."""
    keys = swept_keys(sweep.jobs)
    others = tuple(key for key in keys if key != SEED)
    measure = measure_of(sweep.jobs)
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in sweep.jobs:
        overrides = job.overrides
        groups.setdefault(tuple(overrides.get(key, "") for key in others), []).append(job)
    found = [_configuration(dict(zip(others, values, strict=True)), jobs, measure) for values, jobs in groups.items()]
    sign = -1 if measure.higher else 1
    found.sort(key=lambda c: (c.validation is None, sign * c.validation.mean if c.validation else 0.0))
    # One lucky seed of a configuration whose others failed must not win against a mean over many.
    most = max((c.validation.n for c in found if c.validation), default=0)
    able = [i for i, c in enumerate(found) if c.validation and 2 * c.validation.n >= most]
    best = able[0] if able else None
    behind = tuple(
        difference(c.by_seed, found[best].by_seed) if best is not None and c.validation and i != best else None
        for i, c in enumerate(found)
    )
    return Ranking(
        sweep=sweep,
        keys=others,
        seeds=SEED in keys or any(len(c.jobs) > 1 for c in found),
        measure=measure,
        configurations=tuple(found),
        best=best,
        behind=behind,
        cautions=tuple(_cautions(sweep, others, measure, found, best)),
    )


def swept_keys(jobs: Sequence[Job]) -> tuple[str, ...]:
    """Keys whose words are not those of all jobs, in the order in which they come."""
    told = [job.overrides for job in jobs]
    keys = dict.fromkeys(key for overrides in told for key in overrides)
    return tuple(key for key in keys if len({overrides.get(key) for overrides in told}) > 1)


def measure_of(jobs: Sequence[Job]) -> Measure:
    """The accuracy, if every job with a figure has one; else R², if every one has; else the loss."""
    told = [job.validation for job in jobs if job.validation] or [job.test for job in jobs if job.test]
    for measure in (ACCURACY, R2):
        if told and all(measure.name in values for values in told):
            return measure
    return LOSS


def values_of(key: str, jobs: Sequence[Job]) -> list[str]:
    """The values of a swept key: numbers by size, anything else in the order in which it was asked for."""
    found = list(dict.fromkeys(job.overrides.get(key, "") for job in jobs))
    try:
        return sorted(found, key=float)
    except ValueError:
        return found


def label(values: Mapping[str, str]) -> str:
    """What sets a configuration apart, for a legend: names of parts alone, other values with their key."""
    last = [key.rpartition(".")[2] for key in values]
    words = [
        value if "." not in key and not _numeric(value) else f"{key if last.count(short) > 1 else short}={value}"
        for (key, value), short in zip(values.items(), last, strict=True)
    ]
    return " · ".join(word for word in words if word) or "all jobs"


def command(configuration: Configuration) -> str:
    """The line that runs the configuration again over its seeds, for a shell to take as it is."""
    words = [word for word in configuration.jobs[0].words if word.partition("=")[0] != SEED]
    seeds = sorted({job.seed for job in configuration.jobs if job.seed is not None})
    given = any(word.startswith(f"{SEED}=") for job in configuration.jobs for word in job.words)
    if given and seeds:
        words.append(f"{SEED}={','.join(map(str, seeds))}")
    return command_of(words, several=given and len(seeds) > 1)


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null", "")
    return True


def _configuration(values: Mapping[str, str], jobs: Sequence[Job], measure: Measure) -> Configuration:
    done = [job for job in jobs if job.finished]
    validation = _by_seed(done, measure, "validation")
    return Configuration(
        values=values,
        jobs=tuple(jobs),
        validation=estimate(validation.values()),
        test=estimate(_by_seed(done, measure, "test").values()),
        spikes=_mean([job.spikes for job in done]),
        parameters=_mean([job.parameters for job in done]),
        seconds=_mean([job.seconds for job in done]),
        by_seed=validation,
    )


def _by_seed(jobs: Sequence[Job], measure: Measure, part: str) -> dict[Hashable, float]:
    """One value for a seed: two jobs with the same seed are no two samples."""
    found: dict[Hashable, list[float]] = {}
    for job in jobs:
        value = getattr(job, part).get(measure.name)
        if value is not None:
            found.setdefault(job.seed if job.seed is not None else job.name, []).append(value)
    return {seed: statistics.fmean(values) for seed, values in found.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _cautions(
    sweep: Sweep, keys: Sequence[str], measure: Measure, found: Sequence[Configuration], best: int | None
) -> list[str]:
    said = []
    groups = {key.partition(".")[0] for key in keys}
    if measure is LOSS and "loss" in groups:
        said.append("The loss itself was swept: losses of different functions cannot be compared.")
    if "task" in groups:
        said.append("The task was swept: figures of different tasks cannot be compared.")
    if best is not None and any(c.validation for c in found[:best]):
        said.append(
            "A configuration with a better mean was passed over: fewer than half as many of its seeds finished."
        )
    gone = sum(job.status in ENDED_EARLY for job in sweep.jobs)
    if gone:
        said.append(
            f"{plural(gone, 'job')} did not finish and count{'s' * (gone == 1)} nowhere; if that had to do with the "
            "settings, as when training diverges, what is left of a configuration looks better than it is."
        )
    waiting = sum(not job.finished for job in sweep.jobs) - gone
    if waiting:
        said.append(f"{'1 job is' if waiting == 1 else f'{waiting:,} jobs are'} still to be done.")
    if sweep.unread:
        said.append(f"{sweep.unread:,} more jobs were not read.")
    return said
