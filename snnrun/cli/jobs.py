"""``snnrun show SWEEP``: the jobs of a sweep, the best configuration, and further commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from snnrun.run import browse
from snnrun.sweep.page import gather, words
from snnrun.sweep.page.gather import JobSummary, SweepSummary
from snnrun.sweep.page.ranking import Configuration, Ranking, rank
from snnrun.sweep.summary import ways
from snnrun.system.format import age, cut_end, figure, plural, table
from snnrun.system.layout import columns, page_width
from snnrun.system.safe_read import printable

MOST_JOBS = 500  # in the table
NARROW = 70  # columns; a narrower table has no validation result


def page(folder: Path) -> str:
    """The jobs, with a star for the best configuration."""
    sweep = gather.sweep(folder)
    started_jobs = [job for job in sweep.jobs if job.status != gather.NOT_STARTED]
    trains = not started_jobs or browse.read(started_jobs[0].folder).command == "train"
    ranking = rank(sweep) if trains else None
    width = columns()
    common = _common(sweep.jobs)
    lines = [printable(folder), _counts(sweep)]
    if common:
        lines.append(fill(f"all jobs: {' '.join(common)}", page_width(), subsequent_indent="  "))
    if sweep.jobs:
        lines += ["", _table(sweep, ranking, common, width)]
    if len(sweep.jobs) > MOST_JOBS or sweep.unread:
        lines.append(f"and {len(sweep.jobs) - min(MOST_JOBS, len(sweep.jobs)) + sweep.unread:,} more jobs")
    if ranking is not None and (winner := _best(ranking)) is not None:
        by = f"by the mean over seeds of the validation {ranking.measure.title}"
        best = f"* the best configuration, {by}: {words.assignment(winner)}"
        lines += ["", fill(best, page_width(), subsequent_indent="  ")]
    return "\n".join([*lines, "", ways(folder)] if trains else lines)


def _counts(sweep: SweepSummary) -> str:
    count = len(sweep.jobs) + sweep.unread
    text = f"{plural(count, 'job')}: {words.counts(sweep.jobs)}" if count else "no jobs"
    times = [browse.read(job.folder).started for job in sweep.jobs[:1] if job.status != gather.NOT_STARTED]
    return text + (f"; started {age(times[0])} ago" if times else "")


def _common(jobs: Sequence[JobSummary]) -> list[str]:
    """The words that all jobs share, if there are several jobs."""
    if len(jobs) < 2:
        return []
    shared = set(jobs[0].words).intersection(*(job.words for job in jobs[1:]))
    return [word for word in jobs[0].words if word in shared]


def _best(ranking: Ranking) -> Configuration | None:
    """The best configuration, if there are others."""
    return ranking.winner if len(ranking.configurations) > 1 else None


def _short(job: JobSummary, common: Sequence[str]) -> str:
    """The words that only this job has, with the last piece of each key: ``lr=0.01`` for ``optimizer.lr=0.01``."""
    words = [word.partition("=") for word in job.words if word not in common]
    last = [key.rpartition(".")[2] for key, _, _ in words]
    names = [short if last.count(short) == 1 else key for (key, _, _), short in zip(words, last, strict=True)]
    return " ".join(f"{name}{equals}{value}" for name, (_, equals, value) in zip(names, words, strict=True))


def _table(sweep: SweepSummary, ranking: Ranking | None, common: Sequence[str], width: int | None) -> str:
    winner = None if ranking is None else _best(ranking)
    best = set() if winner is None else {job.number for job in winner.finished_jobs}
    measure = None if ranking is None else ranking.measure
    validated = measure is not None and (width is None or width >= NARROW) and any(job.validation for job in sweep.jobs)
    test_measures = [] if measure is None or measure.name == "loss" else [measure]
    head = ["job", "overrides", "status"]
    if validated and measure is not None:
        head.append(f"validation {measure.title}")
    head += [each.title for each in test_measures]
    head += ["loss"] if measure is not None else []
    rows = []
    for job in sweep.jobs[:MOST_JOBS]:
        row = [
            f"{job.number + 1}{'*' if job.number in best else ''}",
            " ".join(word for word in job.words if word not in common) if width is None else _short(job, common),
            job.status,
        ]
        if validated and measure is not None:
            row.append(measure.figure(job.validation.get(measure.name)))
        row += [each.figure(job.test.get(each.name)) for each in test_measures]
        row += [figure(job.test.get("loss"))] if measure is not None else []
        rows.append(row)
    return table(head, rows, right=(0, *range(3, len(head))), shrink={1: cut_end}, width=width)
