"""The content of the page of a sweep, as values for its template and its plots."""

from __future__ import annotations

from typing import Any

from snnrun.run.command_line import remark
from snnrun.sweep.page import words
from snnrun.sweep.page.curves import bands, points, trim
from snnrun.sweep.page.environment import environment
from snnrun.sweep.page.gather import ENDED_EARLY, JobSummary
from snnrun.sweep.page.html import page
from snnrun.sweep.page.ranking import Configuration, Ranking, command, label, values_of
from snnrun.system.safe_read import cut

SHOWN = 12  # configurations that are not collapsed
BAR = 96  # width of the picture of an interval
COSTS = {
    "parameters": "parameters",
    "spikes": "spikes per inference",
    "seconds": "seconds for the run",
}


def sweep_page(ranking: Ranking) -> str:
    """The HTML page."""
    jobs = ranking.sweep.jobs
    measure, best = ranking.measure, ranking.winner
    failures = [job for job in jobs if job.status in ENDED_EARLY]
    context = {
        "title": f"Sweep {ranking.sweep.name}",
        "folder": ranking.sweep.name,
        "started": start_time(ranking),
        "counts": words.counts(jobs),
        "jobs_count": len(jobs),
        "configurations_count": len(ranking.configurations),
        "search": ranking.sweep.search,
        "launched": cut(" ".join(ranking.sweep.command), 2000),
        "measure": measure,
        "keys": ranking.keys,
        "best": None if best is None else _best(ranking, best),
        "verdict": words.verdict(ranking),
        "cautions": ranking.cautions,
        "rows": rows(ranking),
        "shown": SHOWN,
        "one_seed": all(c.validation is None or c.validation.n == 1 for c in ranking.configurations),
        "jobs": [job_row(job, ranking) for job in jobs],
        "choices": [(key, values_of(key, jobs)) for key in ranking.keys],
        "statuses": sorted({job.status for job in jobs}),
        "failures": [failure(job) for job in failures],
        "environment": environment(jobs),
        "choice": words.CHOICE,
        "sizes": len({job.parameters for job in jobs if job.parameters is not None}) > 1,
        "has_test": any(job.test for job in jobs),
    }
    return page("sweep.html", context, data(ranking))


def start_time(ranking: Ranking) -> str:
    """The time of launch, or the start of its first job, to the minute."""
    times = [ranking.sweep.started, *(str(job.manifest.get("started", "")) for job in ranking.sweep.jobs)]
    known = sorted(time[:16].replace("T", " ") for time in times if time)
    return known[0] if known else ""


def rows(ranking: Ranking) -> list[dict[str, Any]]:
    """The table of configurations, with the picture of each interval."""
    measure = ranking.measure
    ends = [
        v for c in ranking.configurations if c.validation for v in (c.validation[1], *c.validation[3:]) if v is not None
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    scale = (BAR - 12) / (high - low) if high > low else 0.0

    def place(value: float) -> float:
        return round(6 + (value - low) * scale, 1) if scale else BAR / 2

    table = []
    for i, (c, behind) in enumerate(zip(ranking.configurations, ranking.behind, strict=True)):
        finished = len(c.finished_jobs)
        table.append(
            {
                "rank": i + 1 if c.validation else "",
                "values": [cut(value, 60) for value in c.values.values()],
                "seeds": str(finished) if finished == len(c.jobs) else f"{finished} of {len(c.jobs)}",
                "validation": words.spread(c.validation, measure),
                "interval": words.interval(c.validation.low, c.validation.high, measure) if c.validation else "",
                "bar": None
                if c.validation is None
                else {
                    "mean": place(c.validation.mean),
                    "low": None if c.validation.low is None else place(c.validation.low),
                    "high": None if c.validation.high is None else place(c.validation.high),
                },
                "test": words.spread(c.test, measure),
                "behind": "" if behind is None else words.with_sign(behind, measure),
                "behind_interval": "" if behind is None else words.signed_interval(behind, measure),
                "rival": i in ranking.rivals and behind is not None and behind.low is not None,
                "best": i == ranking.best,
                "spikes": count(c.spikes),
                "parameters": count(c.parameters),
                "seconds": "" if c.seconds is None else f"{c.seconds:.1f}",
            }
        )
    return table


def job_row(job: JobSummary, ranking: Ranking) -> dict[str, Any]:
    """One line of the table of jobs: texts, and numbers to sort by."""
    name, overrides = ranking.measure.name, job.overrides
    validation, test = job.validation.get(name), job.test.get(name)
    progress = "" if job.epochs is None else f"{job.epochs}"
    if job.epochs_asked not in (None, job.epochs) and job.epochs is not None:
        progress += f"/{job.epochs_asked}"
    return {
        "number": job.number,
        "status": job.status,
        "values": [(cut(overrides.get(key, ""), 60), _place(key, overrides, ranking)) for key in ranking.keys],
        "seed": job.seed,
        "validation": (validation, ranking.measure.figure(validation)),
        "test": (test, ranking.measure.figure(test)),
        "epochs": (job.epochs, progress),
        "spikes": (job.spikes, count(job.spikes)),
        "parameters": (job.parameters, count(job.parameters)),
        "seconds": (job.seconds, "" if job.seconds is None else f"{job.seconds:.1f}"),
        "folder": job.name,
    }


def _place(key: str, overrides: dict[str, str], ranking: Ranking) -> int:
    return values_of(key, ranking.sweep.jobs).index(overrides.get(key, ""))


def failure(job: JobSummary) -> dict[str, Any]:
    """A job that did not finish, with the end of its log."""
    return {
        "number": job.number,
        "status": job.status,
        "folder": job.name,
        "words": " ".join(job.words),
        "message": job.failure,
        "lines": job.last_lines,
    }


def data(ranking: Ranking) -> dict[str, Any]:
    """The data of the plots."""
    measure = ranking.measure
    most = points(len(ranking.configurations))
    indices = {id(job): i for i, c in enumerate(ranking.configurations) for job in c.jobs}
    return {
        "kind": "sweep",
        "measure": {
            "name": measure.name,
            "title": f"validation {measure.title}",
            "percent": measure.percent,
            "higher": measure.higher,
        },
        "costs": COSTS,
        "keys": {key: values_of(key, ranking.sweep.jobs) for key in ranking.keys},
        "configurations": [
            {
                "label": name,
                "values": list(c.values.values()),
                "n": c.validation.n if c.validation else 0,
                "mean": trim(c.validation.mean) if c.validation else None,
                "sd": trim(c.validation.sd) if c.validation else None,
                "costs": {"parameters": c.parameters, "spikes": trim(c.spikes), "seconds": trim(c.seconds)},
                "curves": {
                    f"{part}_{kind}": curve
                    for kind in ("loss", "accuracy", "r2")
                    for part in ("validation", "train")
                    if (curve := bands(c.jobs, f"{part}_{kind}", most)) is not None
                },
            }
            for name, c in zip(names(ranking), ranking.configurations, strict=True)
        ],
        "jobs": [
            {
                "number": job.number,
                "of": indices[id(job)],
                "seed": job.seed,
                "value": trim(job.validation.get(measure.name)),
                "costs": {"parameters": job.parameters, "spikes": trim(job.spikes), "seconds": trim(job.seconds)},
            }
            for job in ranking.sweep.jobs
            if job.finished
        ],
    }


def names(ranking: Ranking) -> list[str]:
    """Unique labels for a legend."""
    labels: dict[str, None] = {}
    for i, configuration in enumerate(ranking.configurations):
        name = cut(label(configuration.values), 80)
        labels[name if name not in labels else f"{name} ({i + 1})"] = None
    return list(labels)


def _best(ranking: Ranking, best: Configuration) -> dict[str, Any]:
    validation, test, measure = best.validation, best.test, ranking.measure
    assert validation is not None
    return {
        "label": words.assignment(best),
        "values": best.values,
        "mean": measure.figure(validation.mean),
        "sd": measure.spread(validation.sd),
        "interval": words.interval(validation.low, validation.high, measure),
        "seeds": words.seeds(validation.n),
        "test": words.spread(test, measure),
        "spikes": count(best.spikes),
        "parameters": count(best.parameters),
        "command": command(best),
        "folders": [job.name for job in best.finished_jobs],
        "remark": remark(ranking.command),
    }


def count(value: float | None) -> str:
    """A count: whole from 100 on, three figures below."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
