"""The verdict on a sweep as text, the same on the page and in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from snnrun.sweep.page.gather import JobSummary
from snnrun.sweep.page.ranking import Configuration, Measure, Ranking, label
from snnrun.sweep.page.statistics import Difference, Estimate
from snnrun.system.format import plural

CHOICE = "mean over seeds of the validation result; the test set is not used for the choice"
MOST_NAMED = 4


def assignment(configuration: Configuration) -> str:
    """``neuron=lif surrogate=atan``."""
    return " ".join(f"{key}={value}" for key, value in configuration.values.items() if value) or "all jobs"


def spread(estimate: Estimate | None, measure: Measure) -> str:
    """``96.37 % ± 0.28``: mean and standard deviation over seeds."""
    if estimate is None:
        return ""
    return measure.figure(estimate.mean) + (f" ± {measure.spread(estimate.sd)}" if estimate.sd is not None else "")


def interval(low: float | None, high: float | None, measure: Measure) -> str:
    """``95.92 to 96.82``."""
    if low is None or high is None:
        return ""
    return f"{100 * low:.2f} to {100 * high:.2f}" if measure.percent else f"{low:.4g} to {high:.4g}"


def seeds(count: int) -> str:
    """``4 seeds``."""
    return plural(count, "seed")


def gap(difference: Difference, measure: Measure) -> str:
    """``0.42 points``, ``0.031``: an absolute difference."""
    value = abs(difference.mean)
    return f"{100 * value:.2f} points" if measure.percent else f"{value:.3g}"


def with_sign(difference: Difference, measure: Measure) -> str:
    """``−0.42``: with the sign, in points if the measure is in per cent."""
    return (f"{100 * difference.mean:+.2f}" if measure.percent else f"{difference.mean:+.3g}").replace("-", "−")


def signed_interval(difference: Difference, measure: Measure) -> str:
    """``−0.90 to +0.06``."""
    if difference.low is None or difference.high is None:
        return ""
    ends = (100 * v if measure.percent else v for v in (difference.low, difference.high))
    return " to ".join(f"{v:+.2f}" if measure.percent else f"{v:+.3g}" for v in ends).replace("-", "−")


NO_VALIDATION = (
    "these runs had no validation set, and a choice by the test set would flatter itself; "
    "for one give the task some, such as task.validation=0.1."
)


class SweepVerdict(NamedTuple):
    """The answer whether the best configuration is better than the others."""

    headline: str
    detail: str


def verdict(ranking: Ranking) -> SweepVerdict:
    """The answer in a sentence, and its evidence."""
    best, measure = ranking.winner, ranking.measure
    compared = [i for i, d in enumerate(ranking.behind) if d is not None]
    if best is None or best.validation is None:
        if any(job.test for job in ranking.sweep.jobs):
            return SweepVerdict("No configuration is the best:", NO_VALIDATION)
        return SweepVerdict("No job has finished yet,", "so there is nothing to choose from.")
    if not compared:
        return SweepVerdict("The only configuration with a result:", "there is no other to compare it with.")
    second = min(compared)
    difference = ranking.behind[second]
    assert difference is not None
    lead = f"The next, {label(ranking.configurations[second].values)}, is {gap(difference, measure)} behind"
    known = [i for i in compared if (d := ranking.behind[i]) is not None and d.low is not None]
    if not known:
        return SweepVerdict(
            "Whether it is really better cannot be told from one seed each.",
            f"{lead}. Repeat the sweep with several seeds, as in seed=0,1,2,3,4.",
        )
    if difference.low is not None and difference.high is not None:
        ends = sorted(
            (-v if measure.higher else v) * (100 if measure.percent else 1) for v in (difference.low, difference.high)
        )
        interval = " to ".join((f"{v:.2f}" if measure.percent else f"{v:.3g}").replace("-", "−") for v in ends)
        lead += f" (95 % interval {interval}{', seed by seed' if difference.paired else ''})"
    rivals = [i for i in ranking.rivals if i in known]
    if not rivals:
        others = "the other configuration" if len(known) == 1 else f"each of the {len(known)} others"
        return SweepVerdict(f"Better than {others} by more than chance over seeds explains.", f"{lead}.")
    names = [label(ranking.configurations[i].values) for i in rivals[:MOST_NAMED]]
    more = f"; and {len(rivals) - MOST_NAMED} more" if len(rivals) > MOST_NAMED else ""
    others = "the other" if len(known) == 1 else f"{len(rivals)} of the {len(known)} others"
    return SweepVerdict(
        f"Not clearly better than {others}.", f"{lead}. These seeds cannot tell it from: {'; '.join(names)}{more}."
    )


def counts(jobs: Sequence[JobSummary]) -> str:
    """``22 finished, 1 failed, 1 running``."""
    return ", ".join(f"{n:,} {status}" for status, n in Counter(job.status for job in jobs).most_common())
