"""Configurations of a sweep (its jobs without the seed), ranked by their validation results.

The test set is not used: the test result of a configuration that was chosen by it would be biased.
"""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from snnrun.run.command_line import command_of
from snnrun.sweep.page.gather import ENDED_EARLY, JobSummary, SweepSummary
from snnrun.sweep.page.statistics import Difference, Estimate, difference, estimate
from snnrun.system.format import figure, percent, plural

SEED = "seed"


class Measure(NamedTuple):
    """The measure for the comparison of configurations."""

    name: str  # accuracy, r2 or loss
    title: str
    percent: bool
    higher: bool  # is better

    def figure(self, value: float | None) -> str:
        """A value as text: three digits and the sign of per cent, or four figures."""
        return percent(value, 2) if self.percent else figure(value)

    def spread(self, value: float | None) -> str:
        """A standard deviation as text, without a unit."""
        if value is None:
            return ""
        return f"{100 * value:.2f}" if self.percent else f"{value:.2g}"


ACCURACY = Measure("accuracy", "accuracy", True, True)
R2 = Measure("r2", "R²", False, True)
LOSS = Measure("loss", "loss", False, False)


@dataclass(frozen=True)
class Configuration:
    """Jobs that differ only in the seed."""

    values: Mapping[str, str]  # of the swept keys without the seed
    jobs: tuple[JobSummary, ...]
    validation: Estimate | None  # of the finished ones
    test: Estimate | None
    spikes: float | None  # means over the finished ones
    parameters: float | None
    seconds: float | None
    by_seed: Mapping[Hashable, float]  # the validation measure

    @property
    def finished_jobs(self) -> tuple[JobSummary, ...]:
        return tuple(job for job in self.jobs if job.finished)


@dataclass(frozen=True)
class Ranking:
    """A sweep's configurations, the best first; those without a value last."""

    sweep: SweepSummary
    keys: tuple[str, ...]  # swept ones, without the seed
    seeds: bool  # the seed is swept
    measure: Measure
    configurations: tuple[Configuration, ...]
    best: int | None  # index of the best: the first with enough seeds
    behind: tuple[Difference | None, ...]  # of each: its value minus the best one
    cautions: tuple[str, ...]

    @property
    def winner(self) -> Configuration | None:
        return None if self.best is None else self.configurations[self.best]

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of the sweep, or of a job if the sweep left no list of jobs."""
        best = self.winner
        return self.sweep.command or (best.jobs[0].command if best is not None else ())

    @property
    def rivals(self) -> list[int]:
        """The configurations that do not differ significantly from the best."""
        return [i for i, d in enumerate(self.behind) if d is not None and i != self.best and not d.significant]


def rank(sweep: SweepSummary) -> Ranking:
    """Group the jobs, choose the measure, order the groups, compare each with the best."""
    keys = swept_keys(sweep.jobs)
    others = tuple(key for key in keys if key != SEED)
    measure = measure_of(sweep.jobs)
    groups: dict[tuple[str, ...], list[JobSummary]] = {}
    for job in sweep.jobs:
        overrides = job.overrides
        groups.setdefault(tuple(overrides.get(key, "") for key in others), []).append(job)
    entries = [_configuration(dict(zip(others, values, strict=True)), jobs, measure) for values, jobs in groups.items()]
    sign = -1 if measure.higher else 1
    entries.sort(key=lambda c: (c.validation is None, sign * c.validation.mean if c.validation else 0.0))
    # One lucky seed, where all others failed, must not win against a mean over many.
    most = max((c.validation.n for c in entries if c.validation), default=0)
    able = [i for i, c in enumerate(entries) if c.validation and 2 * c.validation.n >= most]
    best = able[0] if able else None
    behind = tuple(
        difference(c.by_seed, entries[best].by_seed) if best is not None and c.validation and i != best else None
        for i, c in enumerate(entries)
    )
    return Ranking(
        sweep=sweep,
        keys=others,
        seeds=SEED in keys or any(len(c.jobs) > 1 for c in entries),
        measure=measure,
        configurations=tuple(entries),
        best=best,
        behind=behind,
        cautions=tuple(_cautions(sweep, others, measure, entries, best)),
    )


def swept_keys(jobs: Sequence[JobSummary]) -> tuple[str, ...]:
    """Keys whose values differ between jobs, in order of appearance."""
    overrides = [job.overrides for job in jobs]
    keys = dict.fromkeys(key for words in overrides for key in words)
    return tuple(key for key in keys if len({words.get(key) for words in overrides}) > 1)


def measure_of(jobs: Sequence[JobSummary]) -> Measure:
    """The accuracy if every job with a result has one; else R² if every one has it; else the loss."""
    results = [job.validation for job in jobs if job.validation] or [job.test for job in jobs if job.test]
    for measure in (ACCURACY, R2):
        if results and all(measure.name in values for values in results):
            return measure
    return LOSS


def values_of(key: str, jobs: Sequence[JobSummary]) -> list[str]:
    """The values of a swept key: numbers by size, others in the order of the command."""
    values = list(dict.fromkeys(job.overrides.get(key, "") for job in jobs))
    try:
        return sorted(values, key=float)
    except ValueError:
        return values


def label(values: Mapping[str, str]) -> str:
    """A label for a legend: the names of parts without their group, other values with their key."""
    last = [key.rpartition(".")[2] for key in values]
    words = [
        value if "." not in key and not _numeric(value) else f"{key if last.count(short) > 1 else short}={value}"
        for (key, value), short in zip(values.items(), last, strict=True)
    ]
    return " · ".join(word for word in words if word) or "all jobs"


def command(configuration: Configuration) -> str:
    """The shell command that runs the configuration again over its seeds."""
    words = [word for word in configuration.jobs[0].words if word.partition("=")[0] != SEED]
    seeds = sorted({job.seed for job in configuration.jobs if job.seed is not None})
    has_seed = any(word.startswith(f"{SEED}=") for job in configuration.jobs for word in job.words)
    if has_seed and seeds:
        words.append(f"{SEED}={','.join(map(str, seeds))}")
    return command_of(words, several=has_seed and len(seeds) > 1)


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null", "")
    return True


def _configuration(values: Mapping[str, str], jobs: Sequence[JobSummary], measure: Measure) -> Configuration:
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


def _by_seed(jobs: Sequence[JobSummary], measure: Measure, part: str) -> dict[Hashable, float]:
    """One value per seed: two jobs with the same seed are not independent samples."""
    values: dict[Hashable, list[float]] = {}
    for job in jobs:
        value = getattr(job, part).get(measure.name)
        if value is not None:
            values.setdefault(job.seed if job.seed is not None else job.name, []).append(value)
    return {seed: statistics.fmean(numbers) for seed, numbers in values.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _cautions(
    sweep: SweepSummary, keys: Sequence[str], measure: Measure, entries: Sequence[Configuration], best: int | None
) -> list[str]:
    cautions = []
    groups = {key.partition(".")[0] for key in keys}
    if measure is LOSS and "loss" in groups:
        cautions.append("The loss itself was swept: losses of different functions cannot be compared.")
    if "task" in groups:
        cautions.append("The task was swept: figures of different tasks cannot be compared.")
    if best is not None and any(c.validation for c in entries[:best]):
        cautions.append(
            "A configuration with a better mean was passed over: fewer than half as many of its seeds finished."
        )
    lost = sum(job.status in ENDED_EARLY for job in sweep.jobs)
    if lost:
        cautions.append(
            f"{plural(lost, 'job')} did not finish and count{'s' * (lost == 1)} nowhere; if that had to do with the "
            "settings, as when training diverges, what is left of a configuration looks better than it is."
        )
    waiting = sum(not job.finished for job in sweep.jobs) - lost
    if waiting:
        cautions.append(f"{'1 job is' if waiting == 1 else f'{waiting:,} jobs are'} still to be done.")
    if sweep.unread:
        cautions.append(f"{sweep.unread:,} more jobs were not read.")
    return cautions
